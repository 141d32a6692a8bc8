//! The old HTTP proxy: it sees connections, not requests, and cannot stream.
pub mod router;
pub mod server;
pub mod translator;

pub use server::start_proxy_server;
