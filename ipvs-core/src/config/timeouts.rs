//! How long a conn may be idle in each state. The defaults are those of DPVS
//! (`conf/dpvs.conf.items`).

use crate::tcp_state::TcpState;

/// Timeouts in seconds, published with the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP conns, indexed by `TcpState as usize`.
    pub tcp_s: [u32; TcpState::COUNT],
    /// UDP conns that both sides have sent packets on. DPVS has one value for all UDP conns.
    pub udp_s: u32,
    /// UDP conns that only one side has sent packets on. The default is the value for all UDP conns
    /// in DPVS.
    pub udp_oneway_s: u32,
    /// SCTP conns that the dest has not answered yet. The three defaults for SCTP are those of
    /// IPVS.
    pub sctp_init_s: u32,
    /// SCTP conns that the dest has answered.
    pub sctp_s: u32,
    /// SCTP conns that have been closed.
    pub sctp_closed_s: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        let mut tcp_s = [0; TcpState::COUNT];
        for (state, secs) in [
            (TcpState::None, 2),
            (TcpState::Established, 90),
            (TcpState::SynSent, 3),
            (TcpState::SynRecv, 30),
            (TcpState::FinWait, 7),
            (TcpState::TimeWait, 7),
            (TcpState::Close, 3),
            (TcpState::CloseWait, 7),
            (TcpState::LastAck, 7),
            (TcpState::Listen, 120),
            (TcpState::SynAck, 30),
        ] {
            tcp_s[state as usize] = secs;
        }
        Self {
            tcp_s,
            udp_s: 300,
            udp_oneway_s: 300,
            sctp_init_s: 60,
            sctp_s: 900,
            sctp_closed_s: 2,
        }
    }
}
