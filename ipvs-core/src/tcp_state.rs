//! The state of a TCP conn as a director between both ends sees it: a constant table.

use crate::direction::Direction;
use TcpState::{
    Close, CloseWait, Established, FinWait, LastAck, Listen, None as Nothing, SynAck, SynRecv,
    SynSent, TimeWait,
};

/// States with the names that IPVS and DPVS print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TcpState {
    /// No packet yet
    None = 0,
    /// The handshake is over
    Established,
    /// The client's SYN has gone to the dest
    SynSent,
    /// The dest's SYN-ACK has gone to the client
    SynRecv,
    /// The dest has closed its side
    FinWait,
    /// Both sides have closed
    TimeWait,
    /// Reset, or closed for good
    Close,
    /// The client has closed its side
    CloseWait,
    /// The last FIN waits for its ACK
    LastAck,
    /// A dest has opened an FTP data conn, and the client's answer is awaited
    Listen,
    /// Never entered: the SYN proxy keeps no conn for a client's SYN. IPVS lists it
    SynAck,
}

impl TcpState {
    /// How many states there are.
    pub const COUNT: usize = 11;

    /// The name that `ipvsadm -lnc` prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait => "FIN_WAIT",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::SynAck => "SYNACK",
        }
    }
}

impl TcpState {
    const ALL: [Self; Self::COUNT] = [
        Nothing,
        Established,
        SynSent,
        SynRecv,
        FinWait,
        TimeWait,
        Close,
        CloseWait,
        LastAck,
        Listen,
        SynAck,
    ];

    /// The state that was stored as `state as u8`.
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        if (bits as usize) < Self::COUNT {
            Self::ALL[bits as usize]
        } else {
            Nothing
        }
    }

    /// Whether the conn is over, so that a SYN may open it again.
    #[inline]
    pub(crate) const fn is_over(self) -> bool {
        matches!(self, TimeWait | Close)
    }

    /// Whether one end has closed, and the other one still sends in this direction.
    #[inline]
    pub(crate) const fn is_half_closed_towards(self, direction: Direction) -> bool {
        match direction {
            Direction::Inbound => matches!(self, FinWait),
            Direction::Outbound => matches!(self, CloseWait),
        }
    }

    /// The state after a segment.
    #[inline]
    pub const fn next(self, direction: Direction, kind: SegmentKind) -> Self {
        TRANSITIONS[self as usize][direction as usize][kind as usize]
    }

    /// The state after a client's segment in DR and tunnel mode, where the dest's answers do not
    /// pass the director.
    pub const fn next_dr_tunnel(self, kind: SegmentKind) -> Self {
        DR_TUNNEL[self as usize][kind as usize]
    }
}

/// What a segment means for the state. If several flags are set, the first in this order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SegmentKind {
    /// RST
    Rst = 0,
    /// SYN, with or without ACK
    Syn,
    /// FIN
    Fin,
    /// Anything else: data, acknowledgments
    Ack,
}

/// `[state][direction][kind]`. A director sees both directions, but not which segment arrives; so a
/// state is what both ends are in at the latest (RFC 9293, 3.3.2), named as IPVS names it from the
/// dest's end: FIN_WAIT when the dest has closed, CLOSE_WAIT when the client has.
#[rustfmt::skip]
const TRANSITIONS: [[[TcpState; 4]; 2]; TcpState::COUNT] = [
    //               RST    SYN          FIN        ACK
    // NONE: a conn is made by the client's SYN (RFC 9293, 3.10.7.2); nothing else moves it.
    /* in  */ [[    Close, SynSent,     Nothing,   Nothing],
    /* out */  [    Close, Nothing,     Nothing,   Nothing]],
    // ESTABLISHED: a SYN now is old or blind and answered by a challenge ACK (RFC 5961, 4).
    /* in  */ [[    Close, Established, CloseWait, Established],
    /* out */  [    Close, Established, FinWait,   Established]],
    // SYN_SENT: the dest's SYN-ACK leads on (RFC 9293, figure 6); the client may repeat its SYN.
    /* in  */ [[    Close, SynSent,     SynSent,   SynSent],
    /* out */  [    Close, SynRecv,     SynSent,   SynSent]],
    // SYN_RECV: the client's ACK completes the handshake, also one that closes at once.
    /* in  */ [[    Close, SynRecv,     CloseWait, Established],
    /* out */  [    Close, SynRecv,     FinWait,   SynRecv]],
    // FIN_WAIT: the dest has closed; the client's FIN ends it (RFC 9293, figure 12).
    /* in  */ [[    Close, FinWait,     TimeWait,  FinWait],
    /* out */  [    Close, FinWait,     FinWait,   FinWait]],
    // TIME_WAIT: a new SYN may open it again (RFC 9293, 3.6.1; RFC 6191).
    /* in  */ [[    Close, SynSent,     TimeWait,  TimeWait],
    /* out */  [    Close, TimeWait,    TimeWait,  TimeWait]],
    // CLOSE: over by a reset; a new SYN opens it again. An end that goes on has not taken the
    // reset, but answered it by a challenge ACK (RFC 5961, 3.2).
    /* in  */ [[    Close, SynSent,     Close,     Established],
    /* out */  [    Close, Close,       Close,     Established]],
    // CLOSE_WAIT: the client has closed; the dest may still send, and then closes.
    /* in  */ [[    Close, CloseWait,   CloseWait, CloseWait],
    /* out */  [    Close, CloseWait,   LastAck,   CloseWait]],
    // LAST_ACK: the dest's FIN waits for the client's ACK, which then rests in TIME_WAIT itself.
    /* in  */ [[    Close, LastAck,     LastAck,   TimeWait],
    /* out */  [    Close, LastAck,     LastAck,   LastAck]],
    // LISTEN: the dest has opened a data conn, as FTP does (RFC 959, 3.2), and the client answers.
    /* in  */ [[    Close, Established, Listen,    Listen],
    /* out */  [    Close, Listen,      Listen,    Listen]],
    // SYNACK: never entered. The SYN proxy answers SYNs without a conn.
    /* in  */ [[    Close, SynAck,      SynAck,    SynAck],
    /* out */  [    Close, SynAck,      SynAck,    SynAck]],
];

/// `[state][kind]` for conns of which only the client's segments are seen. The dest is taken to
/// answer as it should. Nobody can tell which end closed first; as in IPVS, the client's FIN leads
/// to FIN_WAIT.
#[rustfmt::skip]
const DR_TUNNEL: [[TcpState; 4]; TcpState::COUNT] = [
    //                  RST    SYN          FIN      ACK
    /* NONE */        [ Close, SynRecv,     Nothing, Nothing],
    // A SYN now is old or blind. The dest answers it by a challenge ACK (RFC 5961, 4).
    /* ESTABLISHED */ [ Close, Established, FinWait, Established],
    /* SYN_SENT */    [ Close, SynRecv,     FinWait, Established],
    // The client acknowledges only after the dest's SYN.
    /* SYN_RECV */    [ Close, SynRecv,     FinWait, Established],
    /* FIN_WAIT */    [ Close, SynRecv,     FinWait, FinWait],
    /* TIME_WAIT */   [ Close, SynRecv,     TimeWait, TimeWait],
    /* CLOSE */       [ Close, SynRecv,     Close,   Established],
    /* CLOSE_WAIT */  [ Close, SynRecv,     FinWait, CloseWait],
    /* LAST_ACK */    [ Close, SynRecv,     FinWait, LastAck],
    // Never entered in DR and tunnel mode.
    /* LISTEN */      [ Listen, Listen,     Listen,  Listen],
    /* SYNACK */      [ Close, SynAck,      SynAck,  SynAck],
];

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use Direction::{Inbound as In, Outbound as Out};
    use SegmentKind::{Ack, Fin, Rst, Syn};

    #[rstest]
    #[case::client_closes_first(
        &[(In, Syn, SynSent), (Out, Syn, SynRecv), (In, Ack, Established), (In, Fin, CloseWait), (Out, Ack, CloseWait),
          (Out, Fin, LastAck), (In, Ack, TimeWait), (Out, Ack, TimeWait)])]
    #[case::dest_closes_first(
        &[(In, Syn, SynSent), (Out, Syn, SynRecv), (In, Ack, Established), (Out, Fin, FinWait), (In, Ack, FinWait),
          (In, Fin, TimeWait), (Out, Ack, TimeWait)])]
    #[case::dest_refuses(&[(In, Syn, SynSent), (Out, Rst, Close), (In, Syn, SynSent)])]
    #[case::time_wait_is_reopened(
        &[(In, Syn, SynSent), (Out, Syn, SynRecv), (In, Ack, Established), (Out, Fin, FinWait), (In, Fin, TimeWait),
          (In, Syn, SynSent)])]
    #[case::half_closed_dest_goes_on(
        &[(In, Syn, SynSent), (Out, Syn, SynRecv), (In, Fin, CloseWait), (Out, Ack, CloseWait), (Out, Ack, CloseWait)])]
    #[case::a_stray_syn_leaves_an_established_conn_alone(
        &[(In, Syn, SynSent), (Out, Syn, SynRecv), (In, Ack, Established), (In, Syn, Established)])]
    fn segments_lead_through_the_states(#[case] steps: &[(Direction, SegmentKind, TcpState)]) {
        let mut state = Nothing;
        for (step, &(direction, kind, expected)) in steps.iter().enumerate() {
            state = state.next(direction, kind);
            assert_eq!(state, expected, "step {step}");
        }
    }

    #[test]
    fn a_reset_of_either_end_closes_whatever_the_state() {
        for state in TcpState::ALL.into_iter().filter(|state| *state != Listen) {
            assert_eq!(state.next(In, Rst), Close);
            assert_eq!(state.next(Out, Rst), Close);
        }
    }

    #[test]
    fn bits_lead_back_to_the_state() {
        for state in TcpState::ALL {
            assert_eq!(TcpState::from_bits(state as u8), state);
        }
    }
}
