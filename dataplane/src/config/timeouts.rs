//! The section `[timeouts]`: seconds by state, under DPVS's names.

use std::collections::BTreeMap;

use ipvs_core::{TcpState, Timeouts};
use serde::Deserialize;

use super::error::Invalid;

/// The longest timeout, see ipvsadm(8): 31 days.
pub(crate) const LONGEST_TIMEOUT_S: u32 = 31 * 24 * 3600;

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct RawTimeouts(BTreeMap<TimeoutKey, u32>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TimeoutKey {
    TcpNone,
    TcpEstablished,
    TcpSynSent,
    TcpSynRecv,
    TcpFinWait,
    TcpTimeWait,
    TcpClose,
    TcpCloseWait,
    TcpLastAck,
    TcpListen,
    TcpSynack,
    Udp,
    UdpOneway,
    SctpInit,
    SctpEstablished,
    SctpClosed,
}

impl RawTimeouts {
    /// The defaults, with what the file says in their place.
    pub(super) fn validate(&self) -> Result<Timeouts, Invalid> {
        let mut timeouts = Timeouts::default();
        for (key, &secs) in &self.0 {
            if matches!(key, TimeoutKey::TcpSynack) {
                return Err(Invalid::TimeoutOfNoState);
            }
            let (name, field) = key.field(&mut timeouts);
            if !(1..=LONGEST_TIMEOUT_S).contains(&secs) {
                let most = LONGEST_TIMEOUT_S;
                return Err(Invalid::Timeout {
                    key: name,
                    secs,
                    most,
                });
            }
            *field = secs;
        }
        Ok(timeouts)
    }
}

impl TimeoutKey {
    /// The key as it is written, and its seconds.
    const fn field(self, timeouts: &mut Timeouts) -> (&'static str, &mut u32) {
        let (name, state) = match self {
            Self::Udp => return ("udp", &mut timeouts.udp_s),
            Self::UdpOneway => return ("udp_oneway", &mut timeouts.udp_oneway_s),
            Self::SctpInit => return ("sctp_init", &mut timeouts.sctp_init_s),
            Self::SctpEstablished => return ("sctp_established", &mut timeouts.sctp_s),
            Self::SctpClosed => return ("sctp_closed", &mut timeouts.sctp_closed_s),
            Self::TcpNone => ("tcp_none", TcpState::None),
            Self::TcpEstablished => ("tcp_established", TcpState::Established),
            Self::TcpSynSent => ("tcp_syn_sent", TcpState::SynSent),
            Self::TcpSynRecv => ("tcp_syn_recv", TcpState::SynRecv),
            Self::TcpFinWait => ("tcp_fin_wait", TcpState::FinWait),
            Self::TcpTimeWait => ("tcp_time_wait", TcpState::TimeWait),
            Self::TcpClose => ("tcp_close", TcpState::Close),
            Self::TcpCloseWait => ("tcp_close_wait", TcpState::CloseWait),
            Self::TcpLastAck => ("tcp_last_ack", TcpState::LastAck),
            Self::TcpListen => ("tcp_listen", TcpState::Listen),
            Self::TcpSynack => ("tcp_synack", TcpState::SynAck),
        };
        (name, &mut timeouts.tcp_s[state as usize])
    }
}
