//! Local `<address, port>` pools: who may use which port, and which worker its replies land on.
#![forbid(unsafe_code)]

/// One worker's ports of one local address.
#[derive(Debug)]
pub struct PortPool {}
