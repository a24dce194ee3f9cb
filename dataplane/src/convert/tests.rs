use std::path::Path;

use ipvs_core::ReturnPath;

use super::tree::{self, SyntaxError};
use super::{ConvertError, convert, is_of_dpvs};
use crate::config::{Config, DeviceAddress};

/// Two devices and two workers, as an operator of DPVS may have them.
const TWO_ARM: &str = r#"
! a comment { with braces }
global_defs {
    log_level   WARNING
    log_file    /var/log/dpvs.log   <none>
}
netif_defs {
    <init> pktpool_size     524287   # per NUMA node
    <init> pktpool_cache    256 <256, 32-8192>
    <init> device dpdk0 {
        rx {
            queue_number        2
            descriptor_number   1024
            rss                 all
        }
        tx {
            queue_number        2
            descriptor_number   512
        }
        promisc_mode
        kni_name                "dpdk0.kni"
    }
    <init> device dpdk1
    {
        rx { descriptor_number 2048 }
        mtu 9000
    }
}
worker_defs {
    <init> worker cpu0 {
        type    master
        cpu_id  0
    }
    <init> worker cpu1 {
        type    slave
        cpu_id  1
        port    dpdk0 {
            rx_queue_ids     1
            tx_queue_ids     1
            isol_rx_cpu_ids  9
        }
        port    dpdk1 {
            rx_queue_ids     0
            tx_queue_ids     0
        }
    }
    <init> worker cpu2 {
        type    slave
        cpu_id  2
        port    dpdk0 {
            rx_queue_ids     0
            tx_queue_ids     0
        }
        port    dpdk1 {
            rx_queue_ids     1
            tx_queue_ids     1
        }
    }
}
neigh_defs { timeout 30 }
ipvs_defs {
    conn {
        <init> conn_pool_size 2097152
        <init> fast_xmit_close
    }
    udp {
        defence_udp_drop
        timeout { normal 200 }
    }
    tcp {
        timeout { established 31535999 }
        synproxy { synack_options { mss 1452 } }
    }
}
sa_pool { pool_hash_size 16 }
"#;

fn converted(text: &str, nics: &[&str]) -> (String, Config) {
    let nics: Vec<String> = nics.iter().map(|nic| (*nic).to_owned()).collect();
    let toml = convert(Path::new("dpvs.conf"), text, &nics).unwrap();
    let config = Config::parse(Path::new("dpvs.toml"), &toml, 8);
    (
        toml.clone(),
        config.unwrap_or_else(|error| panic!("{error}\n{toml}")),
    )
}

#[test]
fn what_dpvs_conf_means_is_in_the_toml() {
    let (_, config) = converted(TWO_ARM, &["0000:06:00.0", "0000:06:00.1"]);
    assert_eq!(config.log.as_str(), "warn");
    assert_eq!((config.mbufs, config.mbuf_cache), (524_287, 256));
    let [dpdk0, dpdk1] = config.devices.as_slice() else {
        panic!("two devices")
    };
    assert_eq!(dpdk0.name, "dpdk0");
    assert_eq!(dpdk0.address, DeviceAddress::Pci("0000:06:00.0".into()));
    assert_eq!((dpdk0.rx_desc, dpdk0.tx_desc), (1024, 512));
    assert!(dpdk0.promiscuous && !dpdk1.promiscuous);
    assert_eq!(dpdk0.kni.as_deref(), Some("dpdk0.kni"));
    assert_eq!((dpdk1.rx_desc, dpdk1.mtu), (2048, 9000));
    assert_eq!(config.workers.len(), 2);
    let queues: Vec<u16> = config
        .workers
        .iter()
        .flat_map(|worker| &worker.queues)
        .map(|queue| queue.queue.0)
        .collect();
    assert_eq!(queues, [1, 0, 0, 1]);
    assert_eq!(config.max_conns, 1_048_576);
    assert_eq!(config.return_path, ReturnPath::Route);
    assert_eq!(config.neighbours.timeout.as_secs(), 30);
    assert_eq!(config.timeouts.udp_s, 200);
    assert!(config.defence.udp_drop && !config.defence.tcp_drop);
}

#[test]
fn each_item_without_a_counterpart_is_a_comment_with_its_line() {
    let (toml, _) = converted(TWO_ARM, &[]);
    for note in [
        "# line 5, global_defs/log_file /var/log/dpvs.log: the log goes to standard error",
        "# line 14, netif_defs/device/rx/rss all: ",
        "# line 40, worker_defs/worker/port/isol_rx_cpu_ids 9: ",
        "# line 71, ipvs_defs/tcp/timeout/established 31535999: out of range here",
        "# line 72, ipvs_defs/tcp/synproxy/synack_options/mss 1452: the SYN proxy",
        "# line 75, sa_pool/pool_hash_size 16: ",
    ] {
        assert!(toml.contains(note), "{note}\n{toml}");
    }
    assert!(!toml.contains("a comment"), "{toml}");
    assert!(
        toml.contains("no other one is bound to DPDK here"),
        "{toml}"
    );
}

#[test]
fn queues_that_do_not_fit_bonds_and_unknown_items_still_make_a_valid_file() {
    for (text, note) in [
        (
            "netif_defs { bonding bond0 {\n mode 4\n slave dpdk0\n } }",
            "bonding devices are not there",
        ),
        (
            "worker_defs { worker cpu1 {\n type slave\n cpu_id 1\n \
             port bond0 {\n rx_queue_ids 0\n } } }",
            "DPVS's queues do not fit",
        ),
        (
            "netif_defs {\n pktpool_size 1023\n device dpdk0 { rx { descriptor_number 8192 } } }",
            "left out: [mbufs] count",
        ),
        (
            "netif_defs {\n pktpool_size many\n}",
            "not a number: the default is used",
        ),
        (
            "netif_defs { device dpdk0 { mtu 99999 } }",
            "out of range here (68 to 9000): 9000 is used",
        ),
        (
            "netif_defs { device dpdk0 { kni_name a-name-of-16-byte } }",
            "not a name of at most 15 bytes",
        ),
        (
            "netif_defs { device a { mtu 100\n mtu 200 }\n device a { } }",
            "it is there twice",
        ),
        ("global_defs {\n log_level LOUD\n}", "not a log level"),
        (
            "ipvs_defs {\n new_in_dpvs_2 on\n}",
            "ipvs_defs/new_in_dpvs_2 on: not an item that dpvsd knows",
        ),
        (
            "ipvs_defs { tcp { timeout {\n synack 30\n } } }",
            "answers a SYN without a conn",
        ),
        ("sa_pool { x \"a\u{7}b\" }", "sa_pool/x a b: "),
    ] {
        let (toml, _) = converted(text, &[]);
        assert!(toml.contains(note), "{note}\n{toml}");
    }
}

#[test]
fn a_file_that_is_not_of_dpvs_is_refused() {
    for text in ["", "[[device]]\nname = \"dpdk0\"\n", "vrrp_instance x { }"] {
        let refused = convert(Path::new("x"), text, &[]);
        assert!(matches!(refused, Err(ConvertError::NotOfDpvs(_))), "{text}");
        assert!(!is_of_dpvs(text));
    }
    assert!(is_of_dpvs(TWO_ARM));
}

#[test]
fn a_brace_too_many_or_too_few_is_named_with_its_line() {
    assert_eq!(tree::parse("a {\n}\n}\n"), Err(SyntaxError::Closed(3)));
    assert_eq!(tree::parse("a {\nb {\n}\n"), Err(SyntaxError::Open(1)));
    assert_eq!(tree::parse("{\n}"), Err(SyntaxError::Nameless(1)));
    assert_eq!(
        tree::parse(&"a {\n".repeat(100_000)),
        Err(SyntaxError::Deep(65))
    );
    assert_eq!(
        tree::parse("# a { }\n! b\n<c {\n} d>\n").map(|items| items.len()),
        Ok(0)
    );
}
