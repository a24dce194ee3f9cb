//! ipvsadm's tables.

use cli::ip_or_zero;
use proto::v1::{Conn, Counters, Dest, FwdMode, Protocol, Rates, ServiceKey, VirtualService};
use serde_json::{Value, json};

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
                "{head:<33} {:<10} {:<10} {:<10} {:<10}\n{server}\n",
                "Uthreshold", "Lthreshold", "ActiveConn", "InActConn"
            )
        }
        Columns::Persistent => {
            format!(
                "{head:<33} {:<9} {:<11} {:<10} {:<10}\n{server}\n",
                "Weight", "PersistConn", "ActiveConn", "InActConn"
            )
        }
    }
}

/// A service with its dests.
pub fn service(service: &VirtualService, columns: Columns, numbers: Numbers) -> String {
    let name = service_name(service.key.as_ref());
    let head = match columns {
        Columns::Plain => {
            let timeout = match service.conn_timeout_s {
                0 => String::new(),
                secs => format!(" conn-timeout {secs}"),
            };
            format!("{name} {}{timeout}\n", service.scheduler)
        }
        Columns::Stats => format!("{name:<33}{}\n", five(stats(service.counters), numbers)),
        Columns::Rate => format!("{name:<33}{}\n", five(rates(service.rates), numbers)),
        Columns::Thresholds | Columns::Persistent => format!("{name:<33}\n"),
    };
    head + &service
        .dests
        .iter()
        .map(|entry| dest(entry, columns, numbers))
        .collect::<String>()
}

/// `TCP  10.0.0.100:80`
pub fn service_name(key: Option<&ServiceKey>) -> String {
    let key = key.cloned().unwrap_or_default();
    let protocol = match key.protocol() {
        Protocol::Udp => "UDP",
        Protocol::Tcp | Protocol::Unspecified => "TCP",
    };
    format!(
        "{protocol}  {}",
        endpoint(ip_or_zero(key.address.as_ref()), key.port)
    )
}

/// `10.0.0.100:80`
pub fn endpoint(addr: std::net::IpAddr, port: u32) -> String {
    if addr.is_ipv4() {
        format!("{addr}:{port}")
    } else {
        format!("[{addr}]:{port}")
    }
}

fn dest(dest: &Dest, columns: Columns, numbers: Numbers) -> String {
    let name = endpoint(ip_or_zero(dest.address.as_ref()), dest.port);
    let (active, inactive) = (dest.active_conns, dest.inactive_conns);
    let rest = match columns {
        Columns::Plain => {
            let flags = match (dest.weight == 0, dest.overloaded) {
                (true, true) => " inhibited,overload",
                (true, false) => " inhibited",
                (false, true) => " overload",
                (false, false) => "",
            };
            format!(
                " {:<7} {:<6} {active:<10} {inactive:<10}{flags}",
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
        Columns::Persistent => format!(" {:<9} {:<11} {active:<10} {inactive:<10}", dest.weight, 0),
    };
    format!("{}\n", format!("  -> {name:<28}{rest}").trim_end())
}

const fn forward_name(mode: FwdMode) -> &'static str {
    match mode {
        FwdMode::Nat => "Masq",
        FwdMode::Local => "Local",
        FwdMode::Tunnel => "Tunnel",
        FwdMode::Dr | FwdMode::Unspecified => "Route",
        FwdMode::FullNat => "FullNat",
        FwdMode::Snat => "SNAT",
    }
}

fn stats(counters: Option<Counters>) -> [u64; 5] {
    let counters = counters.unwrap_or_default();
    [
        counters.conns,
        counters.in_packets,
        counters.out_packets,
        counters.in_bytes,
        counters.out_bytes,
    ]
}

fn rates(rates: Option<Rates>) -> [u64; 5] {
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
pub fn conn(conn: &Conn) -> String {
    let protocol = if conn.protocol() == Protocol::Udp {
        "udp"
    } else {
        "tcp"
    };
    let end = |addr: &Option<_>, port| endpoint(ip_or_zero(addr.as_ref()), port);
    format!(
        "[{}]{protocol:<3} {:<6} {:<11} {:<18} {:<18} {:<18} {}\n",
        conn.lcore,
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
        let name = endpoint(ip_or_zero(key.address.as_ref()), key.port);
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

/// The lines that bring a service back, for `-R`.
pub fn save(service: &VirtualService) -> String {
    let key = service.key.clone().unwrap_or_default();
    let flag = if key.protocol() == Protocol::Udp {
        "-u"
    } else {
        "-t"
    };
    let name = format!(
        "{flag} {}",
        endpoint(ip_or_zero(key.address.as_ref()), key.port)
    );
    let mut text = format!("-A {name} -s {}", service.scheduler);
    if service.conn_timeout_s > 0 {
        text.push_str(&format!(" --conn-timeout {}", service.conn_timeout_s));
    }
    text.push('\n');
    for dest in &service.dests {
        let mode = match dest.fwd_mode() {
            FwdMode::FullNat => "-b",
            FwdMode::Tunnel => "-i",
            FwdMode::Nat => "-m",
            FwdMode::Snat => "-J",
            _ => "-g",
        };
        let server = endpoint(ip_or_zero(dest.address.as_ref()), dest.port);
        text.push_str(&format!("-a {name} -r {server} {mode} -w {}", dest.weight));
        for (option, value) in [("-x", dest.upper_threshold), ("-y", dest.lower_threshold)] {
            if value > 0 {
                text.push_str(&format!(" {option} {value}"));
            }
        }
        text.push('\n');
    }
    for laddr in &service.laddrs {
        let addr = ip_or_zero(laddr.address.as_ref());
        text.push_str(&format!(
            "--add-laddr -z {addr} {name} -F {}\n",
            laddr.device
        ));
    }
    text
}

/// A service with all that is known of it.
pub fn service_json(service: &VirtualService) -> Value {
    let key = service.key.clone().unwrap_or_default();
    let counts = |[conns, in_packets, out_packets, in_bytes, out_bytes]: [u64; 5]| json!({"conns": conns, "in_packets": in_packets, "out_packets": out_packets, "in_bytes": in_bytes, "out_bytes": out_bytes});
    json!({
        "protocol": if key.protocol() == Protocol::Udp { "udp" } else { "tcp" },
        "address": ip_or_zero(key.address.as_ref()).to_string(),
        "port": key.port,
        "scheduler": service.scheduler,
        "conn_timeout_s": service.conn_timeout_s,
        "stats": counts(stats(service.counters)),
        "rate": counts(rates(service.rates)),
        "dests": service.dests.iter().map(|dest| json!({
            "address": ip_or_zero(dest.address.as_ref()).to_string(),
            "port": dest.port,
            "forward": forward_name(dest.fwd_mode()),
            "weight": dest.weight,
            "upper_threshold": dest.upper_threshold,
            "lower_threshold": dest.lower_threshold,
            "active_conns": dest.active_conns,
            "inactive_conns": dest.inactive_conns,
            "stats": counts(stats(dest.counters)),
            "rate": counts(rates(dest.rates)),
        })).collect::<Vec<_>>(),
        "laddrs": service.laddrs.iter().map(|laddr| json!({
            "address": ip_or_zero(laddr.address.as_ref()).to_string(),
            "device": laddr.device,
            "conns": laddr.conns,
            "misses": laddr.port_conflicts,
        })).collect::<Vec<_>>(),
    })
}

/// A conn.
pub fn conn_json(conn: &Conn) -> Value {
    let end = |addr: &Option<_>, port| endpoint(ip_or_zero(addr.as_ref()), port);
    json!({
        "lcore": conn.lcore,
        "protocol": if conn.protocol() == Protocol::Udp { "udp" } else { "tcp" },
        "expires_in_s": conn.expires_in_s,
        "state": conn.state,
        "client": end(&conn.caddr, conn.cport),
        "vip": end(&conn.vaddr, conn.vport),
        "local": end(&conn.laddr, conn.lport),
        "dest": end(&conn.daddr, conn.dport),
    })
}

#[cfg(test)]
mod tests {
    use cli::ip_message;
    use proto::v1::Laddr;

    use super::*;

    fn tutorial() -> VirtualService {
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

    /// Byte for byte as in the tutorial.
    #[test]
    fn services_are_shown_as_in_the_tutorial() {
        let shown = title(Columns::Plain) + &service(&tutorial(), Columns::Plain, Numbers::Short);
        assert_eq!(
            shown,
            "Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.0.0.100:80 rr
  -> 192.168.100.2:80             FullNat 1      0          0
  -> 192.168.100.3:80             FullNat 1      0          0
"
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

    #[test]
    fn what_is_saved_is_everything() {
        let mut service = tutorial();
        service.conn_timeout_s = 120;
        service.dests[0].upper_threshold = 100;
        assert_eq!(
            save(&service),
            "-A -t 10.0.0.100:80 -s rr --conn-timeout 120
-a -t 10.0.0.100:80 -r 192.168.100.2:80 -b -w 1 -x 100
-a -t 10.0.0.100:80 -r 192.168.100.3:80 -b -w 1
--add-laddr -z 192.168.100.200 -t 10.0.0.100:80 -F dpdk0
"
        );
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
        let shown = conn(&Conn {
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
        });
        assert_eq!(
            shown,
            "[6]tcp 3s     SYN_SENT    192.20.0.11:63838  192.22.2.3:80      192.21.4.5:1028    192.21.6.11:80\n"
        );
    }
}
