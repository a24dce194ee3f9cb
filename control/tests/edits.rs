//! Edits change what they name, and nothing else.

use crate::common::*;
use proto::v1;
use tonic::Code;

fn mask(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|name| (*name).to_owned()).collect()
}

/// Everything that a TCP service may ask for.
fn rich() -> v1::VirtualService {
    v1::VirtualService {
        conn_timeout_s: 120,
        persistence_s: 600,
        persistence_prefix_len: 24,
        expire_quiescent: true,
        no_adopt: true,
        conn_limit: 1000,
        conn_rate_limit: 50,
        proxy_protocol: "v2".into(),
        syn_proxy: true,
        syn_proxy_above: 1000,
        ..service(VIP, 80, "wrr")
    }
}

/// Edits the fields that `change` sets, and returns the service.
async fn edited(
    director: &Director,
    fields: &[&str],
    change: impl FnOnce(&mut v1::VirtualService),
) -> v1::VirtualService {
    let mut edit = v1::VirtualService {
        edit_mask: mask(fields),
        ..service(VIP, 80, "")
    };
    change(&mut edit);
    director.ipvs().await.edit_service(edit).await.unwrap();
    let shown = director.services().await.remove(0);
    v1::VirtualService {
        counters: None,
        rates: None,
        ..shown
    }
}

/// DPVS: -E changes what it names and nothing else.
#[tokio::test]
async fn an_edit_of_a_service_changes_the_fields_it_names() {
    let director = director().await;
    director.ipvs().await.add_service(rich()).await.unwrap();
    let mut expected = rich();
    expected.scheduler = "mh".into();
    expected.scheduler_flags = mask(&["mh-port"]);
    let changed = edited(&director, &["scheduler", "scheduler_flags"], |edit| {
        edit.scheduler = "mh".into();
        edit.scheduler_flags = mask(&["mh-port"]);
    });
    assert_eq!(changed.await, expected);
    expected.conn_limit = 0;
    let changed = edited(&director, &["conn_limit"], |_| {});
    assert_eq!(changed.await, expected);
    // What has no meaning any more goes along.
    expected.scheduler = "rr".into();
    expected.scheduler_flags.clear();
    let changed = edited(&director, &["scheduler"], |edit| {
        edit.scheduler = "rr".into()
    });
    assert_eq!(changed.await, expected);
    (expected.persistence_s, expected.persistence_prefix_len) = (0, 0);
    assert_eq!(
        edited(&director, &["persistence_s"], |_| {}).await,
        expected
    );
    (expected.syn_proxy, expected.syn_proxy_above) = (false, 0);
    assert_eq!(edited(&director, &["syn_proxy"], |_| {}).await, expected);
}

/// Which datagrams carry the PROXY header outlives an edit of its version, and not its end.
#[tokio::test]
async fn an_edit_of_the_proxy_protocol_keeps_which_datagrams_carry_it() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    let with = |version: &str, which: &str, fields: &[&str]| {
        let mut service = service(VIP, 80, if fields.is_empty() { "rr" } else { "" });
        service.key.as_mut().unwrap().protocol = v1::Protocol::Udp.into();
        service.proxy_protocol = version.into();
        service.proxy_protocol_udp = which.into();
        service.edit_mask = mask(fields);
        service
    };
    ipvs.add_service(with("v2", "each", &[])).await.unwrap();
    for (edit, version, which) in [
        (
            with("v2-insecure", "", &["proxy_protocol"]),
            "v2-insecure",
            "each",
        ),
        (
            with("", "first", &["proxy_protocol_udp"]),
            "v2-insecure",
            "first",
        ),
        (
            with("", "each", &["proxy_protocol_udp"]),
            "v2-insecure",
            "each",
        ),
        (with("disable", "", &["proxy_protocol"]), "", ""),
        (with("v2", "", &["proxy_protocol"]), "v2", "first"),
    ] {
        ipvs.edit_service(edit).await.unwrap();
        let shown = director.services().await.remove(0);
        assert_eq!(
            (&*shown.proxy_protocol, &*shown.proxy_protocol_udp),
            (version, which)
        );
    }
    ipvs.edit_service(with("disable", "", &["proxy_protocol"]))
        .await
        .unwrap();
    let edit = with("", "each", &["proxy_protocol_udp"]);
    let refused = ipvs.edit_service(edit).await.unwrap_err();
    assert!(
        refused
            .message()
            .contains("give `VirtualService.proxy_protocol=v2` too"),
        "{refused}"
    );
}

/// A client that knows no mask sends the whole service, and means it.
#[tokio::test]
async fn an_edit_that_names_no_fields_replaces_the_whole_service() {
    let director = director().await;
    director.ipvs().await.add_service(rich()).await.unwrap();
    let changed = edited(&director, &[], |edit| edit.scheduler = "rr".into());
    assert_eq!(changed.await, service(VIP, 80, "rr"));
}

#[tokio::test]
async fn an_edit_of_a_dest_changes_the_fields_it_names() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    let mut real = dest(VIP, 80, "192.168.100.2", 80);
    let given = real.dest.as_mut().unwrap();
    (given.weight, given.upper_threshold, given.lower_threshold) = (Some(7), 100, 50);
    ipvs.add_dest(real).await.unwrap();
    let edit = |fields: &[&str], weight| {
        let given = v1::Dest {
            address: ip("192.168.100.2"),
            port: 80,
            weight: Some(weight),
            drain_s: 1000,
            edit_mask: mask(fields),
            ..v1::Dest::default()
        };
        v1::DestRequest {
            service: Some(key(VIP, 80)),
            dest: Some(given),
        }
    };
    ipvs.edit_dest(edit(&["weight", "drain_s"], 0))
        .await
        .unwrap();
    let shown = |dest: &v1::Dest| {
        let thresholds = (dest.upper_threshold, dest.lower_threshold);
        (dest.fwd_mode(), dest.weight(), thresholds, dest.drain_s > 0)
    };
    let dest = director.services().await.remove(0).dests.remove(0);
    assert_eq!(shown(&dest), (v1::FwdMode::FullNat, 0, (100, 50), true));
    // With weight the drain is over.
    ipvs.edit_dest(edit(&["weight"], 3)).await.unwrap();
    let dest = director.services().await.remove(0).dests.remove(0);
    assert_eq!(shown(&dest), (v1::FwdMode::FullNat, 3, (100, 50), false));
    let wrong = ipvs.edit_dest(edit(&["wait"], 3)).await;
    refused(
        wrong,
        Code::InvalidArgument,
        "unknown field 'wait' in edit_mask",
    );
}

/// Outer sources are of the dest's family, and only tunnels have them. `-e -g` ends them.
#[tokio::test]
async fn the_outer_sources_of_a_tunnel_are_kept_and_end_with_it() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    let spread = |addr: &str, mode: v1::FwdMode| {
        let mut request = dest(VIP, 80, "192.168.100.2", 80);
        let dest = request.dest.as_mut().unwrap();
        dest.fwd_mode = mode.into();
        dest.tunnel_spread = ip(addr);
        dest.tunnel_spread_len = 16;
        request
    };
    for (addr, mode) in [
        ("fd00::", v1::FwdMode::Tunnel),
        ("224.0.0.0", v1::FwdMode::Tunnel),
        ("10.99.0.0", v1::FwdMode::Dr),
    ] {
        let refused = ipvs.add_dest(spread(addr, mode)).await.unwrap_err();
        assert!(
            refused.message().contains("`Dest.tunnel_spread="),
            "{refused}"
        );
    }
    let good = spread("10.99.0.0", v1::FwdMode::Tunnel);
    ipvs.add_dest(good).await.unwrap();
    let shown = director.services().await.remove(0).dests.remove(0);
    assert_eq!(
        (shown.tunnel_spread, shown.tunnel_spread_len),
        (ip("10.99.0.0"), 16)
    );
    let mut edit = dest(VIP, 80, "192.168.100.2", 80);
    if let Some(dest) = edit.dest.as_mut() {
        dest.fwd_mode = v1::FwdMode::Dr.into();
        dest.edit_mask = mask(&["fwd_mode", "tunnel_type", "tunnel_port"]);
    }
    ipvs.edit_dest(edit).await.unwrap();
    let shown = director.services().await.remove(0).dests.remove(0);
    assert_eq!((shown.tunnel_spread, shown.tunnel_spread_len), (None, 0));
}
