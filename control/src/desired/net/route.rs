//! Routes: `dpip route`.

use std::net::IpAddr;

use inet::{Device, IfIndex, Prefix, Route, RouteScope};

use crate::desired::{Desired, NoDevice};

/// A route as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRequest {
    /// Destination
    pub prefix: Prefix,
    /// Next hop, if it is not on the link
    pub gateway: Option<IpAddr>,
    /// Source address of packets that the director sends by it
    pub src: Option<IpAddr>,
    /// The device's name; found by the gateway if left out
    pub device: Option<String>,
    /// Largest packet in bytes; the device's MTU if left out
    pub mtu: Option<u16>,
    /// The lowest metric wins
    pub metric: u32,
    /// Scope; decided by the gateway if left out
    pub scope: Option<RouteScope>,
}

/// Which route to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteFilter {
    /// Destination
    pub prefix: Prefix,
    /// The device's name; `None` for any
    pub device: Option<String>,
    /// The next hop; `None` for any
    pub gateway: Option<IpAddr>,
    /// The metric; `None` for any
    pub metric: Option<u32>,
}

/// Why a route was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The device does not exist
    #[error(transparent)]
    NoDevice(#[from] NoDevice),
    /// Neither device nor a gateway on a link
    #[error(
        "route to {0}: name its device (`Route.device`), or a gateway on a link that has a route"
    )]
    DeviceUnknown(Prefix),
    /// The gateway is not on the link
    #[error(
        "route to {prefix}: the gateway {gateway} is not on the link of {device}: add an address or a route that reaches it first"
    )]
    GatewayUnreachable {
        /// Destination
        prefix: Prefix,
        /// The gateway
        gateway: IpAddr,
        /// The device
        device: String,
    },
    /// It is there already
    #[error(
        "a route to {prefix} by {device} with metric {metric} exists: change it with `SetRoute`, or delete it first"
    )]
    Exists {
        /// Destination
        prefix: Prefix,
        /// The device
        device: String,
        /// The metric
        metric: u32,
    },
    /// It is not there
    #[error("no route to {0}: `ListRoutes` lists them")]
    Missing(Prefix),
    /// There are routes to the prefix, but not as they were described
    #[error(
        "no route to {0} with this device, gateway and metric: `ListRoutes` lists those that there are"
    )]
    NoneAs(Prefix),
    /// An address made it
    #[error(
        "the route to {prefix} belongs to an address of {device}: delete that with `DelAddress`"
    )]
    OfAddress {
        /// Destination
        prefix: Prefix,
        /// The device
        device: String,
    },
    /// Scope kni_host with a prefix of more than one address.
    #[error("`SCOPE_KNI_HOST` takes one address: use {}", Prefix::host(*.0))]
    KniHostPrefix(IpAddr),
    /// The source is not an address of the director.
    #[error(
        "invalid `Route.src` {0}: expected an address of this director (`AddAddress Address.address={0} Address.device=DEV` adds it)"
    )]
    SrcUnknown(IpAddr),
    /// The MTU is out of range.
    #[error("`Route.mtu` {mtu} is out of range: 68 to {most}, the device's")]
    Mtu {
        /// The MTU that was asked for
        mtu: u16,
        /// The device's
        most: u16,
    },
    /// Prefix, gateway and source are not of the same family.
    #[error("the route to {prefix} cannot have {addr}: both must be IPv4, or both IPv6")]
    OtherFamily {
        /// Destination
        prefix: Prefix,
        /// Gateway or src
        addr: IpAddr,
    },
}

impl Desired {
    /// Adds a route.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn add_route(&mut self, request: &RouteRequest) -> Result<(), RouteError> {
        let route = self.validate_route(request)?;
        self.routes.insert(route).map_err(|_| RouteError::Exists {
            prefix: route.prefix,
            device: self.device_name(route.ifindex).to_owned(),
            metric: route.metric,
        })?;
        self.count_src(&route, 1);
        self.dirty.net = true;
        Ok(())
    }

    /// Adds a route, or changes the one with the same prefix, device and metric.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn set_route(&mut self, request: &RouteRequest) -> Result<(), RouteError> {
        let route = self.validate_route(request)?;
        let before = self.routes.same(&route).copied();
        if let Some(before) = before {
            self.refuse_auto(&before)?;
            self.count_src(&before, -1);
        }
        self.count_src(&route, 1);
        self.routes.replace(route);
        self.dirty.net = true;
        Ok(())
    }

    /// Adds a route. It takes the place of those with the same prefix and metric, whatever their
    /// device is (ip-route(8)).
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn replace_route(&mut self, request: &RouteRequest) -> Result<(), RouteError> {
        let route = self.validate_route(request)?;
        let routes = self.routes.to(&route.prefix).iter();
        let replaced = routes.filter(|other| other.metric == route.metric);
        let replaced: Vec<Route> = replaced.copied().collect();
        replaced.iter().try_for_each(|old| self.refuse_auto(old))?;
        for old in replaced {
            self.routes.remove(&old.prefix, |other| *other == old);
            self.count_src(&old, -1);
        }
        self.count_src(&route, 1);
        self.routes.replace(route);
        self.dirty.net = true;
        Ok(())
    }

    /// Removes the first route to a prefix, in the order of the metrics, that is as described.
    ///
    /// # Errors
    /// If it is not there, or an address made it.
    pub fn del_route(&mut self, wanted: &RouteFilter) -> Result<(), RouteError> {
        let prefix = &wanted.prefix;
        let device = wanted.device.as_deref();
        let ifindex = device
            .map(|name| self.device(name).map(|device| device.ifindex))
            .transpose()?;
        let is_it = |route: &Route| {
            ifindex.is_none_or(|ifindex| route.ifindex == ifindex)
                && (wanted.gateway.is_none() || route.gateway == wanted.gateway)
                && wanted.metric.is_none_or(|metric| route.metric == metric)
        };
        let routes = self.routes.to(prefix);
        let Some(route) = routes.iter().find(|route| is_it(route)).copied() else {
            return Err(if routes.is_empty() {
                RouteError::Missing(*prefix)
            } else {
                RouteError::NoneAs(*prefix)
            });
        };
        self.refuse_auto(&route)?;
        self.routes.remove(prefix, |other| *other == route);
        self.count_src(&route, -1);
        self.dirty.net = true;
        Ok(())
    }

    /// Removes the routes of a device for which `is_meant` holds, except for those that addresses
    /// made.
    ///
    /// # Errors
    ///
    /// If there is no such device.
    pub fn flush_routes(
        &mut self,
        device: &str,
        is_meant: impl Fn(IpAddr) -> bool,
    ) -> Result<(), RouteError> {
        let ifindex = self.device(device)?.ifindex;
        self.routes.remove_all(|route| {
            route.ifindex == ifindex && !route.auto && is_meant(route.prefix.addr())
        });
        let left: Vec<Route> = self.routes.iter().copied().collect();
        self.route_srcs.clear();
        left.iter().for_each(|route| self.count_src(route, 1));
        self.dirty.net = true;
        Ok(())
    }

    /// Removes the operator's routes whose `src` is this address, as Linux does: nothing may be
    /// sent from an address that is not the director's.
    pub(in crate::desired) fn remove_routes_from(&mut self, src: IpAddr) {
        if !self.route_srcs.contains_key(&src) {
            return;
        }
        let with_src = |route: &&Route| !route.auto && route.src == Some(src);
        let gone: Vec<Route> = self.routes.iter().filter(with_src).copied().collect();
        for route in gone {
            self.routes.remove(&route.prefix, |other| *other == route);
            self.count_src(&route, -1);
        }
    }

    fn count_src(&mut self, route: &Route, step: isize) {
        let Some(src) = route.src.filter(|_| !route.auto) else {
            return;
        };
        let count = self.route_srcs.entry(src).or_default();
        *count = count.saturating_add_signed(step);
        if *count == 0 {
            self.route_srcs.remove(&src);
        }
    }

    fn refuse_auto(&self, route: &Route) -> Result<(), RouteError> {
        if route.auto && route.scope == RouteScope::Host {
            return Err(RouteError::OfAddress {
                prefix: route.prefix,
                device: self.device_name(route.ifindex).to_owned(),
            });
        }
        Ok(())
    }

    fn validate_route(&self, request: &RouteRequest) -> Result<Route, RouteError> {
        let prefix = request.prefix;
        let of_other_family = |addr: &IpAddr| addr.is_ipv4() != prefix.addr().is_ipv4();
        if let Some(addr) = request.gateway.or(request.src).filter(of_other_family) {
            return Err(RouteError::OtherFamily { prefix, addr });
        }
        let device = self.device_of_route(request)?;
        self.check_gateway(request, device)?;
        if let Some(src) = request.src
            && self.address(src).is_none()
        {
            return Err(RouteError::SrcUnknown(src));
        }
        let mtu = request.mtu.unwrap_or(device.mtu);
        if !(68..=device.mtu).contains(&mtu) {
            return Err(RouteError::Mtu {
                mtu,
                most: device.mtu,
            });
        }
        let by_gateway = if request.gateway.is_some() {
            RouteScope::Global
        } else {
            RouteScope::Link
        };
        let scope = request.scope.unwrap_or(by_gateway);
        if scope == RouteScope::KniHost && prefix != Prefix::host(prefix.addr()) {
            return Err(RouteError::KniHostPrefix(prefix.addr()));
        }
        Ok(Route {
            prefix,
            ifindex: device.ifindex,
            gateway: request.gateway,
            src: request.src,
            mtu,
            metric: request.metric,
            scope,
            auto: false,
        })
    }

    /// The device that a route names, or the one on whose link its gateway is.
    fn device_of_route(&self, request: &RouteRequest) -> Result<&Device, RouteError> {
        if let Some(name) = &request.device {
            return Ok(self.device(name)?);
        }
        let ifindex = self.link_of(request.gateway);
        let mut devices = self.devices.iter();
        devices
            .find(|device| Some(device.ifindex) == ifindex)
            .ok_or(RouteError::DeviceUnknown(request.prefix))
    }

    /// A gateway is on the device's own link.
    fn check_gateway(&self, request: &RouteRequest, device: &Device) -> Result<(), RouteError> {
        // A router's link-local address is on every link (RFC 4861, 6.2.1).
        let is_link_local =
            |gateway| matches!(gateway, IpAddr::V6(addr) if addr.is_unicast_link_local());
        match request.gateway {
            Some(gateway)
                if !is_link_local(gateway)
                    && self.link_of(Some(gateway)) != Some(device.ifindex) =>
            {
                Err(RouteError::GatewayUnreachable {
                    prefix: request.prefix,
                    gateway,
                    device: device.name.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// The device on whose link a gateway is.
    fn link_of(&self, gateway: Option<IpAddr>) -> Option<IfIndex> {
        let route = self.routes.lookup(gateway?)?;
        (route.scope == RouteScope::Link && route.gateway.is_none()).then_some(route.ifindex)
    }
}
