pub mod gateway;
pub mod lifecycle;
pub mod proxy;
pub mod server;

pub use lifecycle::{read_gateway_port, read_proxy_port, update_gateway_port, update_proxy_port};
