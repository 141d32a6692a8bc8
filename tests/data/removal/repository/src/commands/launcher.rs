use crate::daemon::{read_gateway_port, read_proxy_port};

pub fn environment(file: &PidFile, gateway_enabled: bool) -> Option<(&'static str, u16)> {
    if gateway_enabled {
        return read_gateway_port(file).map(|port| ("ANTHROPIC_BASE_URL", port));
    }
    read_proxy_port(file).map(|port| ("HTTPS_PROXY", port))
}
