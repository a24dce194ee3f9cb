//! `-S`: the lines that `-R` reads back.
//!
//! Ports are numbers even without `-n`, so that a file means the same on every machine.

use cli::ip_or_zero;
use proto::v1::{
    AccessEntry, AccessList, Dest, FwdMode, Protocol, Timeouts, TunnelType, VirtualService,
};

use super::access::prefix;
use super::endpoint::endpoint;
use super::matcher;
use super::service::mask;

/// The lines that restore a service. `access` are the entries of its deny and allow lists.
pub(crate) fn save(service: &VirtualService, access: &[AccessEntry]) -> String {
    let name = name_of(service);
    let mut text = format!("-A {name} -s {}", service.scheduler);
    if !service.scheduler_flags.is_empty() {
        let flags = service.scheduler_flags.join(",");
        text.push_str(&format!(" --sched-flags {flags}"));
    }
    if !service.hash_target.is_empty() {
        text.push_str(&format!(" --hash-target {}", service.hash_target));
    }
    text.push_str(&options(service));
    text.push('\n');
    for dest in &service.dests {
        text.push_str(&save_dest(&name, dest));
    }
    // With SNAT the dests are the local addresses.
    let leads_out = |dest: &Dest| dest.fwd_mode() == FwdMode::Snat;
    let has_laddrs = !service.dests.iter().any(leads_out);
    for laddr in service.laddrs.iter().filter(|_| has_laddrs) {
        let addr = ip_or_zero(laddr.address.as_ref());
        text.push_str(&format!(
            "--add-laddr -z {addr} {name} -F {}\n",
            laddr.device
        ));
    }
    let lines = access.iter().map(|entry| save_access(entry, &name));
    text.extend(lines);
    text
}

/// The line that restores the timeouts.
pub(crate) fn save_timeouts(timeouts: &Timeouts) -> String {
    let Timeouts {
        tcp_s,
        tcp_fin_s,
        udp_s,
    } = timeouts;
    format!("--set {tcp_s} {tcp_fin_s} {udp_s}\n")
}

/// The option that names a service.
fn name_of(service: &VirtualService) -> String {
    let key = service.key.clone().unwrap_or_default();
    let flag = match key.protocol() {
        Protocol::Udp => "-u",
        Protocol::Sctp => "--sctp-service",
        _ => "-t",
    };
    match &key.r#match {
        Some(given) => format!("-H {}", matcher::saved(key.protocol(), given)),
        None => {
            let vip = endpoint(ip_or_zero(key.address.as_ref()), key.port);
            format!("{flag} {vip}")
        }
    }
}

/// The line that restores a dest. `service` is the option that names its service.
fn save_dest(service: &str, dest: &Dest) -> String {
    let mode = match dest.fwd_mode() {
        FwdMode::FullNat => "-b",
        FwdMode::Tunnel => "-i",
        FwdMode::Nat => "-m",
        FwdMode::Snat => "-J",
        _ => "-g",
    };
    let server = endpoint(ip_or_zero(dest.address.as_ref()), dest.port);
    let mut line = format!("-a {service} -r {server} {mode} -w {}", dest.weight());
    match dest.tunnel_type() {
        TunnelType::Ipip => {}
        TunnelType::Gre => line.push_str(" --tun-type gre"),
        TunnelType::Gue => {
            line.push_str(&format!(" --tun-type gue --tun-port {}", dest.tunnel_port));
        }
    }
    if let Some(addr) = cli::ip(dest.tunnel_spread.as_ref()) {
        line.push_str(&format!(" --tun-spread {addr}/{}", dest.tunnel_spread_len));
    }
    for (option, value) in [
        ("-x", dest.upper_threshold),
        ("-y", dest.lower_threshold),
        ("--drain", dest.drain_s),
    ] {
        if value > 0 {
            line.push_str(&format!(" {option} {value}"));
        }
    }
    line.push('\n');
    line
}

/// The line that restores an entry of a deny or allow list. `service` is the option that names
/// its service.
fn save_access(entry: &AccessEntry, service: &str) -> String {
    let (command, option) = match entry.list() {
        AccessList::Deny => ("-U", "-k"),
        AccessList::Allow => ("-O", "-2"),
    };
    format!("{command} {service} {option} {}\n", prefix(entry))
}

/// The options of a service beside its scheduler.
fn options(service: &VirtualService) -> String {
    let mut text = String::new();
    for (option, value) in [
        ("-p", service.persistence_s),
        ("--conn-timeout", service.conn_timeout_s),
        ("--conn-limit", service.conn_limit),
        ("--conn-rate-limit", service.conn_rate_limit),
    ] {
        if value > 0 {
            text.push_str(&format!(" {option} {value}"));
        }
    }
    if let Some(mask) = mask(service) {
        text.push_str(&format!(" -M {mask}"));
    }
    match (service.syn_proxy, service.syn_proxy_above) {
        (false, _) => {}
        (true, 0) => text.push_str(" -j enable"),
        (true, above) => text.push_str(&format!(" -j {above}")),
    }
    if !service.uoa.is_empty() {
        let (mode, trail) = (&service.uoa, service.uoa_max_trail);
        text.push_str(&format!(" --uoa {mode} --uoa-max-trail {trail}"));
    }
    if !service.proxy_protocol.is_empty() {
        text.push_str(&format!(" --proxy-protocol {}", service.proxy_protocol));
    }
    // "first" is the default, here and in DPVS.
    if service.proxy_protocol_udp == "each" {
        text.push_str(" --proxy-protocol-udp each");
    }
    for (option, is_on) in [
        ("--ops", service.one_packet),
        ("--expire-quiescent", service.expire_quiescent),
        ("--no-adopt", service.no_adopt),
    ] {
        if is_on {
            text.push_str(&format!(" {option}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::tutorial;
    use crate::restore::changes;
    use proto::v1::change::Change as Kind;

    fn example() -> VirtualService {
        let mut service = tutorial();
        service.conn_timeout_s = 120;
        service.persistence_s = 600;
        service.persistence_prefix_len = 24;
        service.expire_quiescent = true;
        service.no_adopt = true;
        service.conn_limit = 1000;
        service.conn_rate_limit = 50;
        service.proxy_protocol = "v2".into();
        service.syn_proxy = true;
        service.syn_proxy_above = 1000;
        service.dests[0].upper_threshold = 100;
        service.dests[0].lower_threshold = 50;
        service.dests[1].weight = Some(0);
        service.dests[1].drain_s = 30;
        service
    }

    #[test]
    fn what_is_saved_is_everything() {
        assert_eq!(
            save(&example(), &[]),
            "-A -t 10.0.0.100:80 -s rr -p 600 --conn-timeout 120 --conn-limit 1000 \
            --conn-rate-limit 50 -M 255.255.255.0 -j 1000 --proxy-protocol v2 --expire-quiescent --no-adopt
-a -t 10.0.0.100:80 -r 192.168.100.2:80 -b -w 1 -x 100 -y 50
-a -t 10.0.0.100:80 -r 192.168.100.3:80 -b -w 0 --drain 30
--add-laddr -z 192.168.100.200 -t 10.0.0.100:80 -F dpdk0
"
        );
    }

    #[test]
    fn a_scheduler_s_flags_and_target_are_saved() {
        let first_line = |name: &str, flags: &[&str], target: &str| {
            let mut service = tutorial();
            service.scheduler = name.into();
            service.scheduler_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
            service.hash_target = target.into();
            save(&service, &[])
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(
            first_line("mh", &["mh-fallback", "mh-port"], ""),
            "-A -t 10.0.0.100:80 -s mh --sched-flags mh-fallback,mh-port"
        );
        assert_eq!(
            first_line("conhash", &[], "qid"),
            "-A -t 10.0.0.100:80 -s conhash --hash-target qid"
        );
    }

    /// `-R` makes the same service from the lines that `-S` prints.
    #[test]
    fn what_is_saved_is_read_back_as_it_was() {
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            let mut before = example();
            before.key.as_mut().unwrap().protocol = protocol.into();
            if protocol == Protocol::Udp {
                before.scheduler = "conhash".into();
                before.hash_target = "qid".into();
                before.one_packet = true;
                before.uoa = "opp".into();
                before.uoa_max_trail = 5;
                before.proxy_protocol_udp = "each".into();
            } else {
                before.scheduler = "sh".into();
                before.scheduler_flags = vec!["sh-fallback".into(), "sh-port".into()];
            }
            let mut after = VirtualService::default();
            for (_, change) in changes(&save(&before, &[])).unwrap() {
                match change.change.unwrap() {
                    Kind::AddService(service) => after = service,
                    Kind::AddDest(request) => {
                        assert_eq!(request.service, before.key);
                        after.dests.push(request.dest.unwrap());
                    }
                    Kind::AddLaddr(request) => {
                        assert_eq!(request.service, before.key);
                        after.laddrs.push(request.laddr.unwrap());
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(after, before);
        }
    }
}
