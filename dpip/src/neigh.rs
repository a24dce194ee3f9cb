//! `dpip neigh`: the neighbour table.

use cli::{CliError, ip_message, ip_or_zero};
use proto::v1::neighbour_service_client::NeighbourServiceClient;
use proto::v1::{FlushNeighboursRequest, ListNeighboursRequest, Neighbour};
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::words::{Words, looks_like_addr, parse_addr, parse_mac, unknown};
use crate::{Context, Verb};

pub(crate) async fn run(context: &Context, verb: Verb, words: Words) -> Result<(), CliError> {
    match verb {
        Verb::Show => show(context, words.device_only()?).await,
        Verb::Flush => {
            let device = words.device_only()?;
            let family = context.options.family.into();
            let request = FlushNeighboursRequest { device, family };
            cli::done(client(context).await?.flush_neighbours(request).await)?;
            Ok(())
        }
        Verb::Set => Err(CliError::unsupported("'dpip neigh set'")),
        Verb::Add | Verb::Replace | Verb::Del => change(context, verb, parse(words)?).await,
    }
}

async fn client(context: &Context) -> Result<NeighbourServiceClient<Channel>, CliError> {
    let client = NeighbourServiceClient::new(context.connect().await?);
    Ok(client.max_decoding_message_size(cli::MAX_ANSWER_BYTES))
}

async fn show(context: &Context, device: String) -> Result<(), CliError> {
    let family = context.options.family.into();
    let request = ListNeighboursRequest { device, family };
    let answer = client(context).await?.list_neighbours(request).await?;
    let neighbours = answer.into_inner().neighbours;
    if context.options.json {
        cli::print_json(&neighbours.iter().map(json).collect())
    } else {
        cli::print(&neighbours.iter().map(text).collect::<String>())
    }
}

async fn change(context: &Context, verb: Verb, request: Neighbour) -> Result<(), CliError> {
    if request.address.is_none()
        || request.device.is_empty()
        || (verb != Verb::Del && request.mac.is_empty())
    {
        return Err(CliError::failed(
            "address, lladdr or device is missing: give all, \
             e.g. `dpip neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev dpdk0`",
        ));
    }
    let mut client = client(context).await?;
    if verb == Verb::Del {
        cli::done(client.del_neighbour(request).await)?;
    } else {
        cli::done(client.add_neighbour(request).await)?;
    }
    Ok(())
}

fn parse(mut words: Words) -> Result<Neighbour, CliError> {
    let mut neighbour = Neighbour::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "dev" => neighbour.device = words.value("dev")?,
            "lladdr" => neighbour.mac = parse_mac(&words.value("lladdr")?)?,
            _ if neighbour.address.is_none() && looks_like_addr(&word) => {
                neighbour.address = Some(ip_message(parse_addr(&word)?));
            }
            _ => return Err(unknown(&word, &["dev", "lladdr"])),
        }
    }
    Ok(neighbour)
}

fn text(neighbour: &Neighbour) -> String {
    let addr = ip_or_zero(neighbour.address.as_ref()).to_string();
    let is_static = if neighbour.r#static { "static" } else { "" };
    // All lcores share one table. The column is there for scripts that expect DPVS's output.
    let tail = format!("dev: {}  core: 0  {is_static}\n", neighbour.device);
    if neighbour.mac.is_empty() {
        format!(
            "ip: {addr:<48} mac:incomplate                       state: {:<12}   {tail}",
            state(neighbour)
        )
    } else {
        format!(
            "ip: {addr:<48} mac: {}   state: {:<12}  {tail}",
            cli::mac(&neighbour.mac),
            state(neighbour)
        )
    }
}

/// The state by DPVS's name. `--json` has the names of RFC 4861.
fn state(neighbour: &Neighbour) -> &str {
    match neighbour.state.as_str() {
        "INCOMPLETE" => "SEND",
        "STALE" => "DELAY",
        "FAILED" => "NONE",
        "PERMANENT" => "REACHABLE",
        same => same,
    }
}

fn json(neighbour: &Neighbour) -> Value {
    json!({
        "address": ip_or_zero(neighbour.address.as_ref()).to_string(),
        "mac": (!neighbour.mac.is_empty()).then(|| cli::mac(&neighbour.mac)),
        "device": neighbour.device,
        "state": neighbour.state,
        "static": neighbour.r#static,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Neighbour, CliError> {
        parse(Words::new(
            line.split_whitespace().map(str::to_owned).collect(),
        ))
    }

    #[test]
    fn neighbours_are_named_with_their_mac_and_device() {
        let neighbour = parsed("10.0.0.1 lladdr 2:00:00:00:00:0A dev dpdk0").unwrap();
        assert_eq!(neighbour.mac, [2, 0, 0, 0, 0, 10]);
        assert_eq!(neighbour.device, "dpdk0");
        for wrong in [
            "10.0.0.1 lladdr 02:00:00:00:00 dev dpdk0",
            "10.0.0.1 lladdr 02:00:00:00:00:+1 dev dpdk0",
            "10.0.0.1 lladdr 02:00:00:00:00:100 dev dpdk0",
        ] {
            let error = parsed(wrong).unwrap_err();
            assert!(
                error.text.contains("invalid MAC address"),
                "{wrong}: {error}"
            );
        }
        let error = parsed("10.0.0.1 lladr 02:00:00:00:00:01").unwrap_err();
        assert!(error.text.contains("did you mean 'lladdr'?"), "{error}");
    }

    /// As DPVS shows them, with its spelling of "incomplete".
    #[test]
    fn neighbours_are_shown_as_dpvs_shows_them() {
        let mut neighbour = parsed("10.0.0.1 lladdr 02:00:00:00:00:01 dev dpdk0").unwrap();
        neighbour.state = "PERMANENT".into();
        neighbour.r#static = true;
        let addr = format!("{:<48}", "10.0.0.1");
        assert_eq!(
            text(&neighbour),
            format!(
                "ip: {addr} mac: 02:00:00:00:00:01   state: REACHABLE     dev: dpdk0  core: 0  \
                static\n"
            )
        );
        neighbour.mac.clear();
        neighbour.state = "INCOMPLETE".into();
        neighbour.r#static = false;
        assert_eq!(
            text(&neighbour),
            format!(
                "ip: {addr} mac:incomplate                       state: SEND           dev: \
                dpdk0  core: 0  \n"
            )
        );
        assert!(json(&neighbour)["mac"].is_null());
    }
}
