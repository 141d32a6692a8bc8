use super::gateway::start_gateway;
use super::lifecycle::{update_gateway_port, update_proxy_port, PidFile};
use super::proxy::start_proxy_server;

pub fn start(file: &mut PidFile, with_proxy: bool) -> Result<(), String> {
    if with_proxy {
        update_proxy_port(file, start_proxy_server("127.0.0.1:0")?);
    }
    update_gateway_port(file, start_gateway("127.0.0.1:0")?);
    Ok(())
}

pub fn status(file: &PidFile) -> String {
    let proxy = file.proxy_port.map_or("off".to_string(), |port| port.to_string());
    let gateway = file.gateway_port.map_or("off".to_string(), |port| port.to_string());
    format!("proxy {proxy}, gateway {gateway}")
}
