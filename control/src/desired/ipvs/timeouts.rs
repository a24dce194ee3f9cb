//! Timeouts of conns: `ipvsadm-rs --set`.

use ipvs_core::TcpState;

use crate::desired::Desired;

/// The timeouts to set, in seconds. `None` leaves one as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutsRequest {
    /// Of established conns of TCP
    pub tcp_s: Option<u32>,
    /// Of conns of TCP after a FIN
    pub tcp_fin_s: Option<u32>,
    /// Of conns of UDP
    pub udp_s: Option<u32>,
}

impl Desired {
    /// Sets timeouts.
    pub(crate) fn set_timeouts(&mut self, request: &TimeoutsRequest) {
        let timeouts = &mut self.timeouts;
        let of_tcp = [
            (request.tcp_s, TcpState::Established),
            (request.tcp_fin_s, TcpState::FinWait),
        ];
        for (secs, state) in of_tcp {
            let timeout = &mut timeouts.tcp_s[state as usize];
            *timeout = secs.unwrap_or(*timeout);
        }
        if let Some(udp_s) = request.udp_s {
            // A conn without an answer never outlives one with an answer.
            timeouts.udp_oneway_s = if timeouts.udp_oneway_s == timeouts.udp_s {
                udp_s
            } else {
                timeouts.udp_oneway_s.min(udp_s)
            };
            timeouts.udp_s = udp_s;
        }
        self.dirty.timeouts = true;
    }
}
