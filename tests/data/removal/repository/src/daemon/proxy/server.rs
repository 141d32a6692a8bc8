use super::{router, translator};

pub fn start_proxy_server(address: &str) -> Result<u16, String> {
    let backend = router::backend_of("main");
    translator::translate(backend, address)
}
