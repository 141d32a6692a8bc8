pub fn start_gateway(address: &str) -> Result<u16, String> {
    if address.is_empty() { Err("no address".into()) } else { Ok(9999) }
}
