//! ipvsadm's tables.

use cli::ip_or_zero;
use proto::v1::{Conn, Counters, Dest, FwdMode, Protocol, Rates, ServiceKey, VirtualService};

use crate::matcher;
use crate::names::PortNames;

/// Which columns a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// Weight and conns
    Plain,
    /// Counters
    Stats,
    /// Counters per second
    Rate,
    /// Limits
    Thresholds,
    /// Persistent conns
    Persistent,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Large ones as K, M, G, T
    Short,
    /// As they are
    Exact,
}

/// What stands above a list.
pub fn title(columns: Columns) -> String {
    let head = "Prot LocalAddress:Port";
    let server = "  -> RemoteAddress:Port";
    let of_five = |names: [&str; 5]| {
        format!(
            "{head:<33}{}\n{server}\n",
            names
                .iter()
                .map(|name| format!(" {name:>8}"))
                .collect::<String>()
        )
    };
    match columns {
        Columns::Plain => format!(
            "{head} Scheduler Flags\n{server}           Forward Weight ActiveConn InActConn\n"
        ),
        Columns::Stats => of_five(["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"]),
        Columns::Rate => of_five(["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"]),
        Columns::Thresholds => {
            format!(
                "{head:<33} {:<10} {:<10} {:<10} {}\n{server}\n",
                "Uthreshold", "Lthreshold", "ActiveConn", "InActConn"
            )
        }
        Columns::Persistent => {
            format!(
                "{head:<33} {:<9} {:<11} {:<10} {}\n{server}\n",
                "Weight", "PersistConn", "ActiveConn", "InActConn"
            )
        }
    }
}

/// A service with its dests.
pub fn service(
    service: &VirtualService,
    columns: Columns,
    numbers: Numbers,
    names: &PortNames,
) -> String {
    let key = service.key.clone().unwrap_or_default();
    let name = head_of(&key, names);
    let head = match columns {
        Columns::Plain => {
            format!("{name} {}{}\n", scheduler(service), options(service))
        }
        Columns::Stats => format!("{name:<33}{}\n", five(stats(service.counters), numbers)),
        Columns::Rate => format!("{name:<33}{}\n", five(rates(service.rates), numbers)),
        Columns::Thresholds | Columns::Persistent => format!("{name}\n"),
    };
    head + &service
        .dests
        .iter()
        .map(|dest| {
            let addr = ip_or_zero(dest.address.as_ref());
            let name = named_endpoint(addr, key.protocol(), dest.port, names);
            dest_row(&name, dest, columns, numbers)
        })
        .collect::<String>()
}

/// `mh (mh-fallback,mh-port)` as LVS has it, `conhash qid` as DPVS has it.
fn scheduler(service: &VirtualService) -> String {
    let mut text = service.scheduler.clone();
    if !service.scheduler_flags.is_empty() {
        text.push_str(&format!(" ({})", service.scheduler_flags.join(",")));
    }
    if !service.hash_target.is_empty() {
        text.push_str(&format!(" {}", service.hash_target));
    }
    text
}

/// What a service asks of its conns, in DPVS's words and order.
fn options(service: &VirtualService) -> String {
    let mut text = String::new();
    if service.persistence_s > 0 {
        text.push_str(&format!(" persistent {}", service.persistence_s));
        text.push_str(
            &mask(service)
                .map(|mask| format!(" mask {mask}"))
                .unwrap_or_default(),
        );
    }
    if service.one_packet {
        text.push_str(" ops");
    }
    match (service.syn_proxy, service.syn_proxy_above) {
        (false, _) => {}
        (true, 0) => text.push_str(" synproxy"),
        (true, above) => text.push_str(&format!(" synproxy above {above}")),
    }
    for (word, value) in [
        ("conn-timeout", service.conn_timeout_s),
        ("conn-limit", service.conn_limit),
        ("conn-rate-limit", service.conn_rate_limit),
    ] {
        if value > 0 {
            text.push_str(&format!(" {word} {value}"));
        }
    }
    if !service.uoa.is_empty() {
        text.push_str(&format!(" uoa {} {}", service.uoa, service.uoa_max_trail));
    }
    if !service.proxy_protocol.is_empty() {
        text.push_str(&format!(" pp{}", service.proxy_protocol));
    }
    if service.expire_quiescent {
        text.push_str(" expire-quiescent");
    }
    text
}

/// The netmask of persistence as `-M` takes it, unless each client is its own.
pub fn mask(service: &VirtualService) -> Option<String> {
    let key = service.key.as_ref()?;
    let len = service.persistence_prefix_len;
    match ip_or_zero(key.address.as_ref()) {
        std::net::IpAddr::V4(_) if (1..32).contains(&len) => {
            Some(std::net::Ipv4Addr::from_bits(u32::MAX << (32 - len)).to_string())
        }
        std::net::IpAddr::V6(_) if (1..128).contains(&len) => Some(len.to_string()),
        _ => None,
    }
}

/// Protocol and endpoint of a service, `TCP` and `10.0.0.100:80`, or what it matches.
pub fn service_name(key: &ServiceKey) -> (String, String) {
    if let Some(matcher) = &key.r#match {
        return ("MATCH".into(), matcher::shown(key.protocol(), matcher));
    }
    let protocol = protocol_name(key.protocol()).to_uppercase();
    (
        protocol,
        endpoint(ip_or_zero(key.address.as_ref()), key.port),
    )
}

/// `TCP  10.0.0.100:80`, `MATCH tcp,from=...`
fn head_of(key: &ServiceKey, names: &PortNames) -> String {
    if let Some(matcher) = &key.r#match {
        return format!("MATCH {}", matcher::shown(key.protocol(), matcher));
    }
    let protocol = protocol_name(key.protocol()).to_uppercase();
    let addr = ip_or_zero(key.address.as_ref());
    format!(
        "{protocol}  {}",
        named_endpoint(addr, key.protocol(), key.port, names)
    )
}

/// `tcp`
pub const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
        Protocol::Icmp => "icmp",
        Protocol::Icmpv6 => "icmpv6",
        Protocol::Tcp | Protocol::Unspecified => "tcp",
    }
}

/// `10.0.0.100:http`
fn named_endpoint(
    addr: std::net::IpAddr,
    protocol: Protocol,
    port: u32,
    names: &PortNames,
) -> String {
    let port = names.show(protocol, port);
    if addr.is_ipv4() {
        format!("{addr}:{port}")
    } else {
        format!("[{addr}]:{port}")
    }
}

/// `10.0.0.100:80`
pub fn endpoint(addr: std::net::IpAddr, port: u32) -> String {
    named_endpoint(addr, Protocol::Unspecified, port, &PortNames::default())
}

fn dest_row(name: &str, dest: &Dest, columns: Columns, numbers: Numbers) -> String {
    let (active, inactive) = (dest.active_conns, dest.inactive_conns);
    let rest = match columns {
        Columns::Plain => {
            let flags = match (dest.weight == 0, dest.overloaded) {
                (true, true) => " inhibited,overload",
                (true, false) => " inhibited",
                (false, true) => " overload",
                (false, false) => "",
            };
            let drain = match dest.drain_s {
                0 => String::new(),
                secs => format!(" drains within {secs}s"),
            };
            format!(
                " {:<7} {:<6} {active:<10} {inactive:<10}{flags}{drain}",
                forward_name(dest.fwd_mode()),
                dest.weight
            )
        }
        Columns::Stats => five(stats(dest.counters), numbers),
        Columns::Rate => five(rates(dest.rates), numbers),
        Columns::Thresholds => {
            format!(
                " {:<10} {:<10} {active:<10} {inactive:<10}",
                dest.upper_threshold, dest.lower_threshold
            )
        }
        Columns::Persistent => format!(
            " {:<9} {:<11} {active:<10} {inactive:<10}",
            dest.weight, dest.persistent_conns
        ),
    };
    format!("{}\n", format!("  -> {name:<28}{rest}").trim_end())
}

/// How packets reach a dest.
pub const fn forward_name(mode: FwdMode) -> &'static str {
    match mode {
        FwdMode::Nat => "Masq",
        FwdMode::Local => "Local",
        FwdMode::Tunnel => "Tunnel",
        FwdMode::Dr | FwdMode::Unspecified => "Route",
        FwdMode::FullNat => "FullNat",
        FwdMode::Snat => "SNAT",
    }
}

/// Conns, packets in and out, bytes in and out.
pub fn stats(counters: Option<Counters>) -> [u64; 5] {
    let counters = counters.unwrap_or_default();
    [
        counters.conns,
        counters.in_packets,
        counters.out_packets,
        counters.in_bytes,
        counters.out_bytes,
    ]
}

/// The same per second.
pub fn rates(rates: Option<Rates>) -> [u64; 5] {
    let rates = rates.unwrap_or_default();
    [
        rates.conns,
        rates.in_packets,
        rates.out_packets,
        rates.in_bytes,
        rates.out_bytes,
    ]
}

fn five(values: [u64; 5], numbers: Numbers) -> String {
    values
        .iter()
        .map(|value| format!(" {}", large(*value, numbers)))
        .collect()
}

/// Eight digits as they are, more as K, M, G, T.
fn large(value: u64, numbers: Numbers) -> String {
    const STEPS: [(u64, u64, char); 4] = [
        (1_000_000_000, 1_000, 'K'),
        (100_000_000_000, 1_000_000, 'M'),
        (100_000_000_000_000, 1_000_000_000, 'G'),
        (u64::MAX, 1_000_000_000_000, 'T'),
    ];
    if numbers == Numbers::Exact {
        return format!("{value:>8}");
    }
    if value < 100_000_000 {
        return format!("{value:>8}");
    }
    STEPS.iter().find(|(below, ..)| value < *below).map_or_else(
        || format!("{value:>8}"),
        |(_, unit, letter)| format!("{:>7}{letter}", value / unit),
    )
}

/// A conn, as `-lnc` prints it.
pub fn conn(conn: &Conn, names: &PortNames) -> String {
    let protocol = conn.protocol();
    let end =
        |addr: &Option<_>, port| named_endpoint(ip_or_zero(addr.as_ref()), protocol, port, names);
    format!(
        "[{}]{:<3} {:<6} {:<11} {:<18} {:<18} {:<18} {}\n",
        conn.lcore,
        protocol_name(protocol),
        format!("{}s", conn.expires_in_s),
        conn.state,
        end(&conn.caddr, conn.cport),
        end(&conn.vaddr, conn.vport),
        end(&conn.laddr, conn.lport),
        end(&conn.daddr, conn.dport),
    )
}

/// The local addresses of services, as `-G` prints them.
pub fn laddrs(services: &[VirtualService]) -> String {
    let row = |cells: [&str; 5]| {
        let [service, total, addr, conflicts, conns] = cells;
        format!(
            "{}\n",
            format!("{service:<20} {total:<8} {addr:<20} {conflicts:<10} {conns:<10}").trim_end()
        )
    };
    let mut text = row(["VIP:VPORT", "TOTAL", "SNAT_IP", "CONFLICTS", "CONNS"]);
    for service in services {
        let key = service.key.clone().unwrap_or_default();
        let name = match &key.r#match {
            Some(matcher) => matcher::shown(key.protocol(), matcher),
            None => endpoint(ip_or_zero(key.address.as_ref()), key.port),
        };
        text.push_str(&row([&name, &service.laddrs.len().to_string(), "", "", ""]));
        for laddr in &service.laddrs {
            let addr = ip_or_zero(laddr.address.as_ref()).to_string();
            text.push_str(&row([
                "",
                "",
                &addr,
                &laddr.port_conflicts.to_string(),
                &laddr.conns.to_string(),
            ]));
        }
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use cli::ip_message;
    use proto::v1::Laddr;

    use super::*;

    /// The two-arm FullNAT service of the tutorial.
    pub fn tutorial() -> VirtualService {
        let dest = |last| Dest {
            address: Some(ip_message([192, 168, 100, last].into())),
            port: 80,
            fwd_mode: FwdMode::FullNat.into(),
            weight: 1,
            ..Dest::default()
        };
        VirtualService {
            key: Some(ServiceKey {
                protocol: Protocol::Tcp.into(),
                address: Some(ip_message([10, 0, 0, 100].into())),
                port: 80,
                r#match: None,
            }),
            scheduler: "rr".into(),
            dests: vec![dest(2), dest(3)],
            laddrs: vec![Laddr {
                address: Some(ip_message([192, 168, 100, 200].into())),
                device: "dpdk0".into(),
                ..Laddr::default()
            }],
            ..VirtualService::default()
        }
    }

    /// A list of one service, as `-ln` prints it below the banner.
    fn shown(listed: &VirtualService, columns: Columns) -> String {
        let names = PortNames::default();
        title(columns) + &service(listed, columns, Numbers::Short, &names)
    }

    /// Byte for byte as in the tutorial.
    #[test]
    fn services_are_shown_as_in_the_tutorial() {
        assert_eq!(
            shown(&tutorial(), Columns::Plain),
            "Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.0.0.100:80 rr
  -> 192.168.100.2:80             FullNat 1      0          0
  -> 192.168.100.3:80             FullNat 1      0          0
"
        );
    }

    /// LVS: `TCP  172.24.3.177:80 mh (flag-1,flag-2)`, with the flags' names where the scheduler has them;
    /// DPVS: the hash target before all other flags.
    #[test]
    fn a_scheduler_is_shown_with_its_flags_and_target() {
        let row = |name: &str, flags: &[&str], target: &str| {
            let mut listed = tutorial();
            listed.scheduler = name.into();
            listed.scheduler_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
            listed.hash_target = target.into();
            listed.conn_timeout_s = 60;
            let text = service(
                &listed,
                Columns::Plain,
                Numbers::Short,
                &PortNames::default(),
            );
            text.lines().next().unwrap_or_default().to_owned()
        };
        assert_eq!(
            row("mh", &["mh-fallback", "mh-port"], ""),
            "TCP  10.0.0.100:80 mh (mh-fallback,mh-port) conn-timeout 60"
        );
        assert_eq!(
            row("conhash", &[], "qid"),
            "TCP  10.0.0.100:80 conhash qid conn-timeout 60"
        );
        assert_eq!(
            row("lblcr", &[], ""),
            "TCP  10.0.0.100:80 lblcr conn-timeout 60"
        );
    }

    /// Byte for byte as in the tutorial.
    #[test]
    fn local_addresses_are_shown_as_in_the_tutorial() {
        assert_eq!(
            laddrs(&[tutorial()]),
            "VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS
10.0.0.100:80        1
                              192.168.100.200      0          0
"
        );
    }

    /// The formats of ipvsadm's `print_title` and its rows.
    #[test]
    fn counters_rates_and_limits_have_their_columns() {
        let mut service = tutorial();
        let counters = Counters {
            conns: 7,
            in_packets: 123_456_789,
            out_packets: 1,
            in_bytes: 99_999_999_999,
            out_bytes: 0,
        };
        service.counters = Some(counters);
        service.dests[0].counters = Some(counters);
        assert_eq!(
            shown(&service, Columns::Stats),
            "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.0.0.100:80                       7  123456K        1   99999M        0
  -> 192.168.100.2:80                    7  123456K        1   99999M        0
  -> 192.168.100.3:80                    0        0        0        0        0
"
        );
        service.dests[1].rates = Some(Rates {
            conns: 1,
            in_packets: 2,
            out_packets: 3,
            in_bytes: 4,
            out_bytes: 5,
        });
        assert_eq!(
            shown(&service, Columns::Rate),
            "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS
  -> RemoteAddress:Port
TCP  10.0.0.100:80                       0        0        0        0        0
  -> 192.168.100.2:80                    0        0        0        0        0
  -> 192.168.100.3:80                    1        2        3        4        5
"
        );
        service.dests[0].upper_threshold = 100;
        service.dests[0].lower_threshold = 50;
        service.dests[0].active_conns = 3;
        assert_eq!(
            shown(&service, Columns::Thresholds),
            "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn
  -> RemoteAddress:Port
TCP  10.0.0.100:80
  -> 192.168.100.2:80             100        50         3          0
  -> 192.168.100.3:80             0          0          0          0
"
        );
        assert_eq!(
            shown(&service, Columns::Persistent),
            "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn
  -> RemoteAddress:Port
TCP  10.0.0.100:80
  -> 192.168.100.2:80             1         0           3          0
  -> 192.168.100.3:80             1         0           0          0
"
        );
    }

    #[test]
    fn flags_tell_what_is_special() {
        let mut service = tutorial();
        service.conn_timeout_s = 120;
        service.dests[0].weight = 0;
        service.dests[0].overloaded = true;
        service.dests[1].overloaded = true;
        let shown = shown(&service, Columns::Plain);
        for line in [
            "TCP  10.0.0.100:80 rr conn-timeout 120\n",
            "FullNat 0      0          0          inhibited,overload\n",
            "FullNat 1      0          0          overload\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
    }

    #[test]
    fn large_numbers_are_shortened_unless_exact() {
        for (value, shown) in [
            (99_999_999, "99999999"),
            (100_000_000, " 100000K"),
            (1_000_000_000, "   1000M"),
            (100_000_000_000, "    100G"),
            (100_000_000_000_000, "    100T"),
        ] {
            assert_eq!(large(value, Numbers::Short), shown);
        }
        assert_eq!(large(100_000_000, Numbers::Exact), "100000000");
    }

    /// The example of features.md 2.2.
    #[test]
    fn conns_are_shown_as_dpvs_shows_them() {
        let end = |a, b, c, d| Some(ip_message([a, b, c, d].into()));
        let example = Conn {
            lcore: 6,
            protocol: Protocol::Tcp.into(),
            expires_in_s: 3,
            state: "SYN_SENT".into(),
            caddr: end(192, 20, 0, 11),
            cport: 63838,
            vaddr: end(192, 22, 2, 3),
            vport: 80,
            laddr: end(192, 21, 4, 5),
            lport: 1028,
            daddr: end(192, 21, 6, 11),
            dport: 80,
        };
        let shown = conn(&example, &PortNames::default());
        assert_eq!(
            shown,
            "[6]tcp 3s     SYN_SENT    192.20.0.11:63838  192.22.2.3:80      192.21.4.5:1028    192.21.6.11:80\n"
        );
    }
}
