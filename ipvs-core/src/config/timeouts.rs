//! How long a conn may rest in each state. Defaults are those of DPVS (`conf/dpvs.conf.items`).

use crate::tcp_state::TcpState;

/// Timeouts in seconds, published with the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Per TCP state, indexed by `TcpState as usize`.
    pub tcp_s: [u32; TcpState::COUNT],
    /// A UDP conn that was answered, or was not: DPVS knows one value.
    pub udp_s: u32,
    /// A UDP conn that only one side has spoken on. DPVS gives it the same time as any other.
    pub udp_oneway_s: u32,
    /// An SCTP conn that the dest has not answered yet. These three are IPVS's.
    pub sctp_init_s: u32,
    /// One that it has.
    pub sctp_s: u32,
    /// One that is over.
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
