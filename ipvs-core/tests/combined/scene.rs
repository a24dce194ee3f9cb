//! What is unusual in a test: any three of the twists.

use ipvs_core::{
    FwdMode, Persistence, Protocol, ProxyProtocol, SchedulerKind, Service, SynProxy, UoaOptions,
};
use packet::proxy::Version;
use packet::uoa::Mode;
use proptest::prelude::*;
use testkit::director::*;

use super::{FAMILIES, MODES};

/// An unusual condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twist {
    // Of frames
    PriorityTag,
    Fragments,
    FragmentsReversed,
    FragmentsTwice,
    AtomicFragment,
    OptionsOfIp,
    OctetsBehindUdp,
    NoUdpChecksum,
    PaddedFrames,
    LastHop,
    NoHeadroom,
    OneBatch,
    Long,
    // Of what the client says
    FastOpen,
    ClaimedToa,
    ClaimedProxyHeader,
    SaysNothingFirst,
    // Of the director
    UnknownNeighbours,
    NoMbufs,
    ShortLink,
    OneArm,
    RepliesAtAnotherWorker,
    // Of the service
    SynProxied,
    ProxyV1,
    ProxyV2,
    InsecureProxy,
    Uoa,
    UoaInIpOption,
    Persistent,
    OnePacket,
    Hashed,
    // Between two packets
    Expired,
    DestRemoved,
    DestQuiescent,
    ServiceRemoved,
    ServiceReturns,
    OptionsGone,
    OptionsAppear,
    ClientDenied,
    ErrorsOfRouters,
}

impl Twist {
    const ALL: [Self; 40] = [
        Self::PriorityTag,
        Self::Fragments,
        Self::FragmentsReversed,
        Self::FragmentsTwice,
        Self::AtomicFragment,
        Self::OptionsOfIp,
        Self::OctetsBehindUdp,
        Self::NoUdpChecksum,
        Self::PaddedFrames,
        Self::LastHop,
        Self::NoHeadroom,
        Self::OneBatch,
        Self::Long,
        Self::FastOpen,
        Self::ClaimedToa,
        Self::ClaimedProxyHeader,
        Self::SaysNothingFirst,
        Self::UnknownNeighbours,
        Self::NoMbufs,
        Self::ShortLink,
        Self::OneArm,
        Self::RepliesAtAnotherWorker,
        Self::SynProxied,
        Self::ProxyV1,
        Self::ProxyV2,
        Self::InsecureProxy,
        Self::Uoa,
        Self::UoaInIpOption,
        Self::Persistent,
        Self::OnePacket,
        Self::Hashed,
        Self::Expired,
        Self::DestRemoved,
        Self::DestQuiescent,
        Self::ServiceRemoved,
        Self::ServiceReturns,
        Self::OptionsGone,
        Self::OptionsAppear,
        Self::ClientDenied,
        Self::ErrorsOfRouters,
    ];
}

/// Who talks, how, and what is unusual.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) protocol: Protocol,
    pub(super) fwdmode: FwdMode,
    pub(super) ends: [&'static str; 4],
    pub(super) twists: Vec<Twist>,
}

impl Scene {
    pub(super) fn has(&self, twist: Twist) -> bool {
        self.twists.contains(&twist)
    }

    fn has_any(&self, twists: &[Twist]) -> bool {
        twists.iter().any(|twist| self.has(*twist))
    }

    pub(super) const fn is_rewritten(&self) -> bool {
        matches!(self.fwdmode, FwdMode::FullNat | FwdMode::Nat)
    }

    /// Whether the director, and not the client, says who the client is.
    pub(super) fn announces(&self) -> bool {
        self.is_rewritten()
            && (self.has(Twist::ProxyV1) && self.protocol == Protocol::Tcp
                || self.has(Twist::ProxyV2))
            && !self.has(Twist::InsecureProxy)
            && !self.has(Twist::OptionsGone)
            && !self.has(Twist::OptionsAppear)
    }

    /// Whether client and dest are of different families.
    fn is_mixed(&self) -> bool {
        let [_, vip, dest, _] = self.ends;
        vip.contains('[') != dest.contains('[')
    }

    pub(super) fn is_fragmented(&self) -> bool {
        self.has_any(&[
            Twist::Fragments,
            Twist::FragmentsReversed,
            Twist::FragmentsTwice,
        ])
    }

    /// Whether both ends can hear each other under all these conditions.
    pub(super) fn goes_well(&self) -> bool {
        const HARMFUL: [Twist; 9] = [
            Twist::LastHop,
            Twist::NoHeadroom,
            Twist::NoMbufs,
            Twist::ShortLink,
            Twist::Expired,
            Twist::DestRemoved,
            Twist::DestQuiescent,
            Twist::ServiceRemoved,
            Twist::ClientDenied,
        ];
        const GROWING: [Twist; 7] = [
            Twist::ProxyV1,
            Twist::ProxyV2,
            Twist::Uoa,
            Twist::UoaInIpOption,
            Twist::OptionsOfIp,
            Twist::AtomicFragment,
            Twist::OctetsBehindUdp,
        ];
        let grows = !self.is_rewritten() || self.is_mixed() || self.has_any(&GROWING);
        let is_fragmented = self.is_fragmented();
        !(self.has_any(&HARMFUL)
            || self.has(Twist::Long) && (grows || self.has(Twist::FragmentsReversed))
            || is_fragmented && self.has_any(&[Twist::ProxyV1, Twist::ProxyV2])
            // RFC 7915, 4.5: such fragments cannot be translated.
            || is_fragmented && self.has(Twist::NoUdpChecksum) && self.is_mixed())
    }

    pub(super) fn lan_mtu(&self) -> u16 {
        if self.has(Twist::ShortLink) {
            1400
        } else {
            1500
        }
    }

    /// The options that control would accept for the service.
    pub(super) fn set_options(&self, service: &mut Service) {
        let is_tcp = self.protocol == Protocol::Tcp;
        let options = &mut service.options;
        if self.has(Twist::Persistent) {
            let prefix_len = if self.ends[1].contains('[') { 64 } else { 24 };
            options.persistence = Some(Persistence {
                timeout_s: 300,
                prefix_len,
            });
        }
        options.is_one_packet = self.has(Twist::OnePacket) && !is_tcp && !self.is_rewritten();
        if self.has(Twist::Hashed) {
            service.scheduler = SchedulerKind::Mh(Default::default());
        }
        if !self.is_rewritten() {
            return;
        }
        options.syn_proxy = (self.has(Twist::SynProxied) && is_tcp).then_some(SynProxy::Always);
        let version = match (self.has(Twist::ProxyV1) && is_tcp, self.has(Twist::ProxyV2)) {
            (true, _) => Some(Version::V1),
            (_, true) => Some(Version::V2),
            _ => None,
        };
        options.proxy_protocol = version.map(|version| ProxyProtocol {
            version,
            is_insecure: self.has(Twist::InsecureProxy),
            is_in_each_datagram: false,
        });
        if !is_tcp && self.fwdmode == FwdMode::FullNat && version.is_none() {
            options.uoa = self
                .uoa_mode()
                .map(|mode| UoaOptions { mode, max_trail: 3 });
        }
    }

    fn uoa_mode(&self) -> Option<Mode> {
        let is_ipv4 = self.ends[1] == VIP && self.ends[2] == DEST;
        if self.has(Twist::Uoa) {
            Some(Mode::OwnProtocol)
        } else {
            (self.has(Twist::UoaInIpOption) && is_ipv4).then_some(Mode::IpOption)
        }
    }

    /// One worker, or two that share the service.
    pub(super) fn workers(&self) -> Vec<Director> {
        let [_, vip, dest, laddr] = self.ends;
        let setup = Setup {
            protocol: self.protocol,
            fwdmode: self.fwdmode,
            vip,
            dests: vec![dest],
            laddrs: vec![laddr],
            max_conns: 64,
            lan_mtu: self.lan_mtu(),
            resolve: !self.has(Twist::UnknownNeighbours),
            one_arm: self.has(Twist::OneArm),
            workers: 1 + u16::from(self.has(Twist::RepliesAtAnotherWorker)),
            ..Setup::default()
        };
        let mut workers = setup.build_all();
        if !self.has(Twist::OptionsAppear) {
            for worker in &mut workers {
                worker.edit(|service| self.set_options(service));
            }
        }
        workers
    }
}

pub(super) fn scene() -> impl Strategy<Value = Scene> {
    let twists = prop::sample::subsequence(Twist::ALL.to_vec(), 3);
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    let parts = (protocol, 0..MODES.len(), 0..FAMILIES.len(), twists);
    let scenes = parts.prop_map(|(protocol, mode, families, twists)| Scene {
        protocol,
        fwdmode: MODES[mode],
        ends: FAMILIES[families],
        twists,
    });
    scenes.prop_filter("DR joins no families", |scene| {
        scene.fwdmode != FwdMode::DirectRoute || !scene.is_mixed()
    })
}
