//! One neighbour of the table, and what it makes of news.

use packet::MacAddr;

use crate::neighbour::news::NeighbourNews;
use crate::neighbour::state::NeighbourState;
use crate::net::NexthopId;

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: NexthopId,
    pub(super) mac: Option<MacAddr>,
    /// A MAC address that was announced in place of `mac`. It is used as soon as it answers.
    pub(super) claimed: Option<MacAddr>,
    pub(super) state: NeighbourState,
    pub(super) probes: u32,
    /// When the next request, or the end of the entry, is due
    pub(super) next_ms: u64,
    /// When the neighbour answered last, or was first asked for if it never did
    pub(super) since_ms: u64,
    /// Whether a worker has waited for it: it is in use, and not only overheard.
    pub(super) wanted: bool,
}

/// Which entries a full table removes for a new one, in this order. Those that are in use and
/// answer are never removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    Unanswered,
    OnlyHeardOf,
}

/// What follows from news of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Ignore,
    /// The neighbour has this MAC address: it is reachable.
    Believe,
    /// Ask at once whether it is true, and use `mac` until there is an answer.
    Ask {
        mac: MacAddr,
        claimed: Option<MacAddr>,
    },
    /// The neighbour is being asked already: only the claim is newer.
    Note,
}

impl Entry {
    pub(super) const fn worth(&self) -> Option<Worth> {
        match (self.mac, self.state) {
            (_, NeighbourState::Permanent) => None,
            (None, _) => Some(Worth::Unanswered),
            (Some(_), _) if self.wanted => None,
            (Some(_), _) => Some(Worth::OnlyHeardOf),
        }
    }

    /// RFC 4861, 7.2.3 and 7.2.5, and the same for ARP: an announcement proves nothing. Linux would
    /// use an announced MAC address until a probe fails; here the old one is used until the new one
    /// has answered, so that a false announcement costs no packet.
    pub(super) fn judge(&self, news: &NeighbourNews) -> Verdict {
        let is_asked = matches!(
            self.state,
            NeighbourState::Incomplete | NeighbourState::Probe
        );
        let answers = news.answers && is_asked && self.probes > 0;
        match self.mac {
            _ if self.state == NeighbourState::Permanent => Verdict::Ignore,
            None if answers => Verdict::Believe,
            None => Verdict::Ask {
                mac: news.mac,
                claimed: None,
            },
            Some(mac) if mac == news.mac && (answers || !is_asked) => Verdict::Believe,
            Some(mac) if mac == news.mac => Verdict::Ignore,
            Some(_) if answers && self.claimed == Some(news.mac) => Verdict::Believe,
            Some(_) if news.overrides && self.claimed.is_some() => Verdict::Note,
            Some(mac) if news.overrides => Verdict::Ask {
                mac,
                claimed: Some(news.mac),
            },
            Some(_) if is_asked => Verdict::Ignore,
            Some(mac) => Verdict::Ask { mac, claimed: None },
        }
    }
}
