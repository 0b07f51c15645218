//! Networks that may connect: `10.1.0.0/16`, or one address.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::config::setting::{Fault, Given, Setting, quoted};

impl Setting for IpNet {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        decode(given.text()?)
    }

    fn shown(&self) -> serde_json::Value {
        shown_network(*self).into()
    }
}

/// A network as one would write it in the settings: an address without its length.
pub(crate) fn shown_network(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

fn decode(text: &str) -> Result<IpNet, Fault> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network: IpNet = text.parse().map_err(|_| {
        Fault(format!(
            "{} is not a network; write one such as \"10.1.0.0/16\", \"fd00::/8\" or \"10.1.2.3\"",
            quoted(text)
        ))
    })?;
    if network.addr() != network.network() {
        // "10.1.2.3/8" may mean the one host or all ten million: a guess would open too much or too little.
        return Err(Fault(format!(
            "{} has bits set behind its prefix; write \"{}\" for the network or \"{}\" for the one address",
            quoted(text),
            network.trunc(),
            network.addr()
        )));
    }
    Ok(unmapped(network))
}

/// Peers are mapped back to IPv4 before they are compared, so a network of mapped addresses has to be too.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(six) = network else {
        return network;
    };
    let four = six.addr().to_ipv4_mapped();
    let prefix = six.prefix_len().checked_sub(MAPPED_PREFIX);
    match four.zip(prefix).map(|(addr, len)| Ipv4Net::new(addr, len)) {
        Some(Ok(four)) => IpNet::V4(four),
        _ => network,
    }
}

/// `::ffff:0:0/96`, RFC 4291 section 2.5.5.2.
const MAPPED_PREFIX: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_single_addresses() {
        for (text, network) in [
            ("127.0.0.0/8", "127.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("::1", "::1/128"),
            ("fd00::/8", "fd00::/8"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
        ] {
            assert_eq!(decode(text).unwrap().to_string(), network, "{text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.1.2.3/8",
            "10.0.0.*",
            "10.0.0.1-10.0.0.9",
            "scanner",
            "10.0.0.0/255.0.0.0",
        ] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
