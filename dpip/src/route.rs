//! `dpip route`: the routing table.

use cli::{CliError, ip_message, ip_or_zero};
use proto::v1::route_service_client::RouteServiceClient;
use proto::v1::{Family, FlushRoutesRequest, ListRoutesRequest, Route};
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::scope::{scope, scope_name};
use crate::words::{Words, looks_like_addr, parse_prefix, unknown};
use crate::{Context, Verb};

const KEYWORDS: &[&str] = &["default", "via", "dev", "scope", "mtu", "src", "metric"];

pub(crate) async fn run(context: &Context, verb: Verb, words: Words) -> Result<(), CliError> {
    match verb {
        Verb::Show => show(context, words.device_only()?).await,
        Verb::Flush => {
            let device = words.device_only()?;
            if device.is_empty() {
                return Err(CliError::failed(
                    "a device is missing: give one, e.g. `dpip route flush dev dpdk0`",
                ));
            }
            let family = family(context).into();
            let request = FlushRoutesRequest { device, family };
            cli::done(client(context).await?.flush_routes(request).await)?;
            Ok(())
        }
        Verb::Add | Verb::Set | Verb::Replace | Verb::Del => {
            let is_v6 = context.options.family == Family::Inet6;
            change(context, verb, parse(words, is_v6)?).await
        }
    }
}

async fn client(context: &Context) -> Result<RouteServiceClient<Channel>, CliError> {
    let client = RouteServiceClient::new(context.connect().await?);
    Ok(client.max_decoding_message_size(cli::MAX_ANSWER_BYTES))
}

/// The family of a table: IPv4 if none is named, as in ip-route(8) and DPVS.
const fn family(context: &Context) -> Family {
    match context.options.family {
        Family::Any => Family::Inet,
        named => named,
    }
}

async fn show(context: &Context, device: String) -> Result<(), CliError> {
    let family = family(context).into();
    let request = ListRoutesRequest { family, device };
    let answer = client(context).await?.list_routes(request).await?;
    let routes = answer.into_inner().routes;
    if context.options.json {
        cli::print_json(&routes.iter().map(json).collect())
    } else {
        cli::print(&routes.iter().map(text).collect::<String>())
    }
}

async fn change(context: &Context, verb: Verb, request: Route) -> Result<(), CliError> {
    if request.address.is_none() {
        return Err(CliError::failed(
            "a destination is missing: give a prefix or `default`, \
             e.g. `dpip route add 10.0.0.0/16 dev dpdk1`",
        ));
    }
    let mut client = client(context).await?;
    cli::done(match verb {
        Verb::Add => client.add_route(request).await,
        Verb::Set => client.set_route(request).await,
        Verb::Replace => client.replace_route(request).await,
        _ => client.del_route(request).await,
    })
}

fn parse(mut words: Words, is_v6: bool) -> Result<Route, CliError> {
    let mut route = Route::default();
    let mut is_default = false;
    while let Some(word) = words.next() {
        match word.as_str() {
            "via" => route.gateway = Some(ip_message(words.addr("via")?)),
            "dev" => route.device = words.value("dev")?,
            "src" => route.src = Some(ip_message(words.addr("src")?)),
            "mtu" => route.mtu = words.number("mtu")?,
            "metric" => route.metric = words.number("metric")?,
            "scope" => route.scope = scope(&words.value("scope")?)?.into(),
            "default" if !is_default && route.address.is_none() => is_default = true,
            _ if !is_default && route.address.is_none() && looks_like_addr(&word) => {
                let (addr, len) = parse_prefix(&word)?;
                route.address = Some(ip_message(addr));
                route.prefix_len = Some(len);
            }
            _ => return Err(unknown(&word, KEYWORDS)),
        }
    }
    if is_default {
        let is_v6 = is_v6 || cli::ip(route.gateway.as_ref()).is_some_and(|addr| addr.is_ipv6());
        let any = if is_v6 { [0; 16].into() } else { [0; 4].into() };
        route.address = Some(ip_message(any));
    }
    Ok(route)
}

fn text(route: &Route) -> String {
    let addr = ip_or_zero(route.address.as_ref());
    if addr.is_ipv6() {
        return text6(route);
    }
    let or_none = |addr: &Option<_>| ip_or_zero(addr.as_ref());
    format!(
        "inet {addr}/{} via {} src {} dev {} mtu {} tos 0 scope {} metric {} proto auto\n",
        route.prefix_len(),
        or_none(&route.gateway),
        or_none(&route.src),
        route.device,
        route.mtu,
        scope_name(route.scope()),
        route.metric,
    )
}

/// In DPVS's form of IPv6, which leaves out what there is not. It has no metric, so that stands
/// behind all else.
fn text6(route: &Route) -> String {
    let mut text = match route.prefix_len() {
        0 => "inet6 default".to_owned(),
        len => format!("inet6 {}/{len}", ip_or_zero(route.address.as_ref())),
    };
    for (word, addr) in [("via", &route.gateway), ("src", &route.src)] {
        if let Some(addr) = cli::ip(addr.as_ref()) {
            text.push_str(&format!(" {word} {addr}"));
        }
    }
    let (device, mtu) = (&route.device, route.mtu);
    let scope = scope_name(route.scope());
    text.push_str(&format!(" dev {device} mtu {mtu} scope {scope}"));
    if route.metric != 0 {
        text.push_str(&format!(" metric {}", route.metric));
    }
    text + "\n"
}

fn json(route: &Route) -> Value {
    let addr = |message: &Option<_>| cli::ip(message.as_ref()).map(|addr| addr.to_string());
    json!({
        "prefix": format!("{}/{}", ip_or_zero(route.address.as_ref()), route.prefix_len()),
        "via": addr(&route.gateway),
        "src": addr(&route.src),
        "device": route.device,
        "mtu": route.mtu,
        "scope": scope_name(route.scope()),
        "metric": route.metric,
        "made_by_address": route.auto,
    })
}

#[cfg(test)]
mod tests {
    use proto::v1::Scope;

    use super::*;

    fn parsed(line: &str) -> Result<Route, CliError> {
        parse(
            Words::new(line.split_whitespace().map(str::to_owned).collect()),
            false,
        )
    }

    /// The words that a route could be written with.
    fn written(route: &Route) -> String {
        let mut text = format!(
            "{}/{}",
            ip_or_zero(route.address.as_ref()),
            route.prefix_len()
        );
        for (word, addr) in [("via", &route.gateway), ("src", &route.src)] {
            if let Some(addr) = cli::ip(addr.as_ref()) {
                text.push_str(&format!(" {word} {addr}"));
            }
        }
        text + " " + &route.device
    }

    #[test]
    fn the_tutorial_s_lines_are_understood() {
        for (line, meant) in [
            ("10.0.0.0/16 dev dpdk1", "10.0.0.0/16 dpdk1"),
            ("192.168.100.0/24 dev dpdk0", "192.168.100.0/24 dpdk0"),
            (
                "default via 10.140.31.254 src 10.140.16.48 dev dpdk0",
                "0.0.0.0/0 via 10.140.31.254 src 10.140.16.48 dpdk0",
            ),
            (
                "default via 123.1.2.1 dev dpdk1",
                "0.0.0.0/0 via 123.1.2.1 dpdk1",
            ),
            ("default via 10.0.0.1", "0.0.0.0/0 via 10.0.0.1 "),
            ("default via 2001:db8::1", "::/0 via 2001:db8::1 "),
            ("2001:db8:1::/64 dev dpdk1", "2001:db8:1::/64 dpdk1"),
        ] {
            assert_eq!(written(&parsed(line).unwrap()), meant, "{line}");
        }
        let kni = parsed("172.10.0.2/32 dev dpdk1 scope kni_host").unwrap();
        assert_eq!(kni.scope(), Scope::KniHost);
        let all = parsed("10.0.0.0/8 via 10.1.0.1 mtu 1400 metric 7 scope global").unwrap();
        assert_eq!((all.mtu, all.metric, all.scope()), (1400, 7, Scope::Global));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, part) in [
            (
                "10.0.0.0/16 mtu big",
                "invalid mtu 'big': expected a number",
            ),
            ("10.0.0.0/16 mtu -1", "invalid mtu '-1': expected a number"),
            ("10.0.0.0/16 vai 10.0.0.1", "did you mean 'via'?"),
            ("10.0.0.0/16 via router", "invalid IP address 'router'"),
            (
                "10.0.0.0/16 default dev dpdk0",
                "'default' is not understood",
            ),
            ("10.0.0.0/40 dev dpdk0", "0 to 32"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.text.contains(part), "{line}: {error}");
        }
    }

    /// Byte for byte as in the tutorial.
    #[test]
    fn routes_are_shown_as_in_the_tutorial() {
        let shown: String = [
            ("10.0.0.100/32 dev dpdk1 mtu 1500 scope host"),
            ("192.168.100.200/32 dev dpdk0 mtu 1500 scope host"),
            ("192.168.100.0/24 dev dpdk0 mtu 1500 scope link"),
            ("10.0.0.0/16 dev dpdk1 mtu 1500 scope link"),
        ]
        .map(|line| text(&parsed(line).unwrap()))
        .concat();
        assert_eq!(
            shown,
            "\
inet 10.0.0.100/32 via 0.0.0.0 src 0.0.0.0 dev dpdk1 mtu 1500 tos 0 scope host metric 0 proto auto
inet 192.168.100.200/32 via 0.0.0.0 src 0.0.0.0 dev dpdk0 mtu 1500 tos 0 scope host metric 0 \
    proto auto
inet 192.168.100.0/24 via 0.0.0.0 src 0.0.0.0 dev dpdk0 mtu 1500 tos 0 scope link metric 0 proto \
    auto
inet 10.0.0.0/16 via 0.0.0.0 src 0.0.0.0 dev dpdk1 mtu 1500 tos 0 scope link metric 0 proto auto
"
        );
    }

    /// `inet6 default|PREFIX [via G] [src S] dev D [mtu N] scope S`
    #[test]
    fn routes_of_ipv6_are_shown_as_dpvs_shows_them() {
        for (line, shown) in [
            (
                "2001:db8:1::/64 dev dpdk1 mtu 1500 scope link",
                "inet6 2001:db8:1::/64 dev dpdk1 mtu 1500 scope link\n",
            ),
            (
                "default via 2001:db8:1::1 src 2001:db8:1::5 dev dpdk0 mtu 1400 metric 5",
                "inet6 default via 2001:db8:1::1 src 2001:db8:1::5 dev dpdk0 mtu 1400 scope global \
                metric 5\n",
            ),
        ] {
            assert_eq!(text(&parsed(line).unwrap()), shown);
        }
    }

    #[test]
    fn json_has_what_the_line_has() {
        let route = parsed("10.1.0.0/16 via 10.0.0.1 dev dpdk1").unwrap();
        let value = json(&route);
        assert_eq!(
            (&value["prefix"], &value["via"]),
            (&"10.1.0.0/16".into(), &"10.0.0.1".into())
        );
        assert!(value["src"].is_null());
    }
}
