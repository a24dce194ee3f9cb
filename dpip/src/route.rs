//! `dpip route`.

use cli::{CliError, ip_message, ip_or_zero};
use proto::v1::route_service_client::RouteServiceClient;
use proto::v1::{FlushRoutesRequest, ListRoutesRequest, Route};
use serde_json::{Value, json};

use crate::addr::{scope, scope_name};
use crate::words::{Words, parse_prefix, unknown};
use crate::{Context, Verb};

const KEYWORDS: &[&str] = &["default", "via", "dev", "scope", "mtu", "src", "metric"];

pub async fn run(context: &Context, verb: Verb, words: Words) -> Result<(), CliError> {
    let request = parse(words, context.options.family == proto::v1::Family::Inet6)?;
    let family = context.options.family.into();
    if verb == Verb::Show {
        let mut client = RouteServiceClient::new(context.connect().await?);
        let routes = client
            .list_routes(ListRoutesRequest { family })
            .await?
            .into_inner()
            .routes;
        return if context.options.json {
            cli::print_json(&routes.iter().map(json).collect())
        } else {
            cli::print(&routes.iter().map(text).collect::<String>())
        };
    }
    if verb == Verb::Flush {
        if request.device.is_empty() {
            return Err(CliError::failed(
                "name the device, as in `dpip route flush dev dpdk0`",
            ));
        }
        let mut client = RouteServiceClient::new(context.connect().await?);
        client
            .flush_routes(FlushRoutesRequest {
                device: request.device,
                family,
            })
            .await?;
        return Ok(());
    }
    if request.address.is_none() {
        return Err(CliError::failed(
            "name the destination, as in `dpip route add 10.0.0.0/16 dev dpdk1` or `default`",
        ));
    }
    let mut client = RouteServiceClient::new(context.connect().await?);
    match verb {
        Verb::Add => client.add_route(request).await?,
        Verb::Set => client.set_route(request).await?,
        _ => client.del_route(request).await?,
    };
    Ok(())
}

fn parse(mut words: Words, is_v6: bool) -> Result<Route, CliError> {
    let mut route = Route::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "via" => route.gateway = Some(ip_message(words.addr("via")?)),
            "dev" => route.device = words.value("dev")?,
            "src" => route.src = Some(ip_message(words.addr("src")?)),
            "mtu" => route.mtu = words.number("mtu")?,
            "metric" => route.metric = words.number("metric")?,
            "scope" => route.scope = scope(&words.value("scope")?)?.into(),
            "default" => {
                let any = if is_v6 { [0; 16].into() } else { [0; 4].into() };
                route.address = Some(ip_message(any));
                route.prefix_len = 0;
            }
            _ if route.address.is_none()
                && word.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':')
                && word.contains(['.', ':', '/']) =>
            {
                let (addr, len) = parse_prefix(&word)?;
                route.address = Some(ip_message(addr));
                route.prefix_len = len;
            }
            _ => return Err(unknown(&word, KEYWORDS)),
        }
    }
    Ok(route)
}

fn text(route: &Route) -> String {
    let addr = ip_or_zero(route.address.as_ref());
    let family = if addr.is_ipv4() { "inet" } else { "inet6" };
    format!(
        "{family} {addr}/{} via {} src {} dev {} mtu {} tos 0 scope {} metric {} proto auto\n",
        route.prefix_len,
        ip_or_zero(route.gateway.as_ref()),
        ip_or_zero(route.src.as_ref()),
        route.device,
        route.mtu,
        scope_name(route.scope()),
        route.metric,
    )
}

fn json(route: &Route) -> Value {
    let addr = |message: &Option<_>| cli::ip(message.as_ref()).map(|addr| addr.to_string());
    json!({
        "prefix": format!("{}/{}", ip_or_zero(route.address.as_ref()), route.prefix_len),
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

    #[test]
    fn the_tutorial_s_lines_are_understood() {
        let route = parsed("default via 10.140.31.254 src 10.140.16.48 dev dpdk0").unwrap();
        assert_eq!(
            (
                route.prefix_len,
                ip_or_zero(route.gateway.as_ref()).to_string()
            ),
            (0, "10.140.31.254".into())
        );
        assert_eq!(
            parsed("172.10.0.2/32 dev dpdk1 scope kni_host")
                .unwrap()
                .scope(),
            Scope::KniHost
        );
        assert!(
            parsed("10.0.0.0/16 mtu big")
                .unwrap_err()
                .text
                .contains("big is no number")
        );
    }

    /// Byte for byte as in the tutorial.
    #[test]
    fn routes_are_shown_as_in_the_tutorial() {
        let mut route = parsed("10.0.0.0/16 dev dpdk1 mtu 1500 scope link").unwrap();
        assert_eq!(
            text(&route),
            "inet 10.0.0.0/16 via 0.0.0.0 src 0.0.0.0 dev dpdk1 mtu 1500 tos 0 scope link metric 0 proto auto\n"
        );
        route.scope = Scope::Host.into();
        assert!(text(&route).ends_with("scope host metric 0 proto auto\n"));
    }
}
