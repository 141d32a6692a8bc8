pub struct PidFile {
    pub pid: u32,
    pub port: u16,
    pub proxy_port: Option<u16>,
    pub gateway_port: Option<u16>,
}

pub fn read_gateway_port(file: &PidFile) -> Option<u16> {
    file.gateway_port
}

pub fn read_proxy_port(file: &PidFile) -> Option<u16> {
    file.proxy_port
}

pub fn update_gateway_port(file: &mut PidFile, port: u16) {
    file.gateway_port = Some(port);
}

pub fn update_proxy_port(file: &mut PidFile, port: u16) {
    file.proxy_port = Some(port);
}
