//! `dpip route`.

use std::net::IpAddr;

use inet::{Device, Prefix, Route};
use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{log_change, of_device};
use super::convert::field;
use super::{Api, convert};
use crate::desired::{RouteFilter, RouteRequest};

#[tonic::async_trait]
impl v1::route_service_server::RouteService for Api {
    async fn add_route(&self, request: Request<v1::Route>) -> Result<Response<v1::Empty>, Status> {
        let request = route(request.get_ref())?;
        self.control
            .write(|state| state.desired.add_route(&request))
            .await?;
        log_change(format_args!("route {} added", text(&request)));
        Ok(self.done().await)
    }

    async fn set_route(&self, request: Request<v1::Route>) -> Result<Response<v1::Empty>, Status> {
        let request = route(request.get_ref())?;
        self.control
            .write(|state| state.desired.set_route(&request))
            .await?;
        log_change(format_args!("route {} set", text(&request)));
        Ok(self.done().await)
    }

    async fn replace_route(
        &self,
        request: Request<v1::Route>,
    ) -> Result<Response<v1::Empty>, Status> {
        let request = route(request.get_ref())?;
        self.control
            .write(|state| state.desired.replace_route(&request))
            .await?;
        log_change(format_args!("route {} replaced", text(&request)));
        Ok(self.done().await)
    }

    async fn del_route(&self, request: Request<v1::Route>) -> Result<Response<v1::Empty>, Status> {
        let wanted = filter(request.get_ref())?;
        self.control
            .write(|state| state.desired.del_route(&wanted))
            .await?;
        let whose = of_device(wanted.device.as_deref().unwrap_or_default());
        log_change(format_args!("route {}{whose} removed", wanted.prefix));
        Ok(self.done().await)
    }

    async fn flush_routes(
        &self,
        request: Request<v1::FlushRoutesRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        let message = request.into_inner();
        let whose = of_device(&message.device);
        let family = field::known(message.family, "family")?;
        self.control
            .write_all(move |desired, _| {
                let is_meant = |addr| field::is_of(family, addr);
                Ok(desired.flush_routes(&message.device, is_meant)?)
            })
            .await?;
        log_change(format_args!("routes{whose} removed"));
        Ok(self.done().await)
    }

    async fn list_routes(
        &self,
        request: Request<v1::ListRoutesRequest>,
    ) -> Result<Response<v1::ListRoutesResponse>, Status> {
        let family = field::known(request.get_ref().family, "family")?;
        let device = request.into_inner().device;
        // The lock is held only while the table is copied.
        let (routes, devices) = self.control.read(|state| {
            if !device.is_empty() {
                state.desired.device(&device)?;
            }
            let desired = &state.desired;
            Ok::<_, Status>((desired.routes.clone(), desired.devices.clone()))
        })?;
        let is_meant = |route: &&Route| {
            let by = devices.iter().find(|other| other.ifindex == route.ifindex);
            field::is_of(family, route.prefix.addr())
                && (device.is_empty() || by.is_some_and(|by| by.name == device))
        };
        let shown = routes.iter().filter(is_meant);
        let routes = shown.map(|route| message(&devices, route)).collect();
        Ok(Response::new(v1::ListRoutesResponse { routes }))
    }
}

fn prefix(message: &v1::Route) -> Result<Prefix, Status> {
    let addr = field::ip(message.address.as_ref(), "prefix")?;
    field::prefix(addr, message.prefix_len)
}

fn filter(message: &v1::Route) -> Result<RouteFilter, Status> {
    Ok(RouteFilter {
        prefix: prefix(message)?,
        device: Some(message.device.clone()).filter(|name| !name.is_empty()),
        gateway: gateway(message)?,
        metric: Some(message.metric).filter(|metric| *metric != 0),
    })
}

fn gateway(message: &v1::Route) -> Result<Option<IpAddr>, Status> {
    let gateway = field::optional_ip(message.gateway.as_ref(), "gateway")?;
    Ok(gateway.filter(|gateway| !gateway.is_unspecified()))
}

fn route(message: &v1::Route) -> Result<RouteRequest, Status> {
    let mtu = u16::try_from(message.mtu).map_err(|_| {
        Status::invalid_argument(format!(
            "`Route.mtu` {} is out of range: 68 to 9000",
            message.mtu
        ))
    })?;
    Ok(RouteRequest {
        prefix: prefix(message)?,
        gateway: gateway(message)?,
        src: field::optional_ip(message.src.as_ref(), "src")?.filter(|src| !src.is_unspecified()),
        device: Some(message.device.clone()).filter(|name| !name.is_empty()),
        mtu: Some(mtu).filter(|mtu| *mtu != 0),
        metric: message.metric,
        scope: convert::scope(field::known(message.scope, "scope")?),
    })
}

fn text(request: &RouteRequest) -> String {
    let mut text = request.prefix.to_string();
    if let Some(gateway) = request.gateway {
        text.push_str(&format!(" via {gateway}"));
    }
    if let Some(device) = &request.device {
        text.push_str(&format!(" dev {device}"));
    }
    text
}

fn message(devices: &[Device], route: &Route) -> v1::Route {
    let device = devices
        .iter()
        .find(|device| device.ifindex == route.ifindex)
        .map(|device| device.name.clone());
    v1::Route {
        address: Some(field::ip_message(route.prefix.addr())),
        prefix_len: Some(route.prefix.prefix_len().into()),
        gateway: route.gateway.map(field::ip_message),
        src: route.src.map(field::ip_message),
        device: device.unwrap_or_default(),
        mtu: route.mtu.into(),
        metric: route.metric,
        scope: convert::scope_message(route.scope).into(),
        auto: route.auto,
    }
}
