pub fn translate(backend: &str, address: &str) -> Result<u16, String> {
    if backend.is_empty() || address.is_empty() { Err("no backend".into()) } else { Ok(8888) }
}
