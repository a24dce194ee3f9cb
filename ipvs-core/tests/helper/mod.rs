//! What the director does beyond forwarding, for services that ask for it.

mod ftp;
mod proxy_datagrams;
mod proxy_forgery;
mod proxy_protocol;
mod syn_proxy;
mod syn_proxy_fragments;
mod uoa;
