//! How much one address may ask of `[http.public]`.
//!
//! Owns a bucket of requests and one of wrong tokens for each address that has asked of late, and its connections. Refuses to
//! remember without end: an address without a connection is forgotten when there are too many.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many requests of one address are answered in a second, and how many at once after a pause.
const REQUESTS: Rate = Rate::new(200.0, Duration::from_secs(1));

/// How many wrong tokens an address may bring in a minute. With the next ones no token of it is looked at any more.
const WRONG_TOKENS: Rate = Rate::new(20.0, Duration::from_secs(60));

/// How many connections an address may have at a time.
const CONNECTIONS: usize = 128;

/// How many addresses are remembered besides those with a connection.
const REMEMBERED: usize = 4096;

/// So many in that time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    count: f64,
    per: Duration,
}

impl Rate {
    pub(super) const fn new(count: f64, per: Duration) -> Self {
        Self { count, per }
    }
}

/// Fills with the rate, and holds as much as comes in its time.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    level: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            level: rate.count,
            at: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        let more = since * self.rate.count / self.rate.per.as_secs_f64();
        self.level = (self.level + more).min(self.rate.count);
        self.at = now;
    }

    /// Whether there is one left.
    fn has(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= 1.0
    }

    /// Takes one, if there is one left.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let has = self.has(now);
        if has {
            self.level -= 1.0;
        }
        has
    }
}

#[derive(Debug)]
struct Known {
    requests: Bucket,
    wrong_tokens: Bucket,
    connections: usize,
}

/// All addresses.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients(Arc<Mutex<HashMap<IpAddr, Known>>>);

/// One connection of an address.
#[derive(Debug)]
pub(super) struct Client {
    clients: Clients,
    address: IpAddr,
}

impl Clients {
    fn table(&self) -> MutexGuard<'_, HashMap<IpAddr, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more connection; `None` if the address has too many.
    pub(super) fn connect(&self, address: IpAddr, now: Instant) -> Option<Client> {
        let address = group(address);
        let mut table = self.table();
        if table.len() >= REMEMBERED && !table.contains_key(&address) {
            table.retain(|_, known| known.connections > 0);
        }
        let known = table.entry(address).or_insert_with(|| Known {
            requests: Bucket::full(REQUESTS, now),
            wrong_tokens: Bucket::full(WRONG_TOKENS, now),
            connections: 0,
        });
        if known.connections >= CONNECTIONS {
            return None;
        }
        known.connections += 1;
        Some(Client {
            clients: self.clone(),
            address,
        })
    }
}

impl Client {
    fn known<T>(&self, look: impl FnOnce(&mut Known) -> T) -> Option<T> {
        self.clients.table().get_mut(&self.address).map(look)
    }

    /// Takes the turn of a request, if there is one.
    pub(super) fn take_turn(&self, now: Instant) -> bool {
        self.known(|known| known.requests.take(now)).unwrap_or(true)
    }

    /// Whether a token of this address is looked at.
    pub(super) fn may_bring_token(&self, now: Instant) -> bool {
        self.known(|known| known.wrong_tokens.has(now))
            .unwrap_or(true)
    }

    /// It was a wrong one.
    pub(super) fn wrong_token(&self, now: Instant) {
        self.known(|known| known.wrong_tokens.take(now));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.known(|known| known.connections -= 1);
    }
}

/// Who counts as one: an IPv4 address, or the /64 that a site of IPv6 has at least.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            Ipv6Addr::from(network).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_bucket_gives_all_at_once_and_then_the_rate() {
        let start = Instant::now();
        let rate = Rate::new(2000.0, Duration::from_secs(1));
        let mut bucket = Bucket::full(rate, start);
        let taken = |bucket: &mut Bucket, at| (0..5000).filter(|_| bucket.take(at)).count();
        assert_eq!(taken(&mut bucket, start), 2000);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(taken(&mut bucket, at(100)), 200);
        assert_eq!(taken(&mut bucket, at(60_000)), 2000);
        // The clock of another core may be behind.
        assert_eq!(taken(&mut bucket, at(50_000)), 0);
    }

    #[test]
    fn each_address_has_its_own_turns_tokens_and_connections() {
        let (clients, now) = (Clients::default(), Instant::now());
        let one = clients.connect(ip("192.0.2.1"), now).unwrap();
        let other = clients.connect(ip("192.0.2.2"), now).unwrap();
        assert_eq!((0..1000).filter(|_| one.take_turn(now)).count(), 200);
        assert!(other.take_turn(now));

        for _ in 0..20 {
            assert!(one.may_bring_token(now));
            one.wrong_token(now);
        }
        assert!(!one.may_bring_token(now));
        assert!(other.may_bring_token(now));
        // A new connection changes nothing, a pause does.
        drop(one);
        let again = clients.connect(ip("::ffff:192.0.2.1"), now).unwrap();
        assert!(!again.may_bring_token(now));
        assert!(again.may_bring_token(now + Duration::from_secs(4)));

        let many: Vec<_> = (0..200)
            .filter_map(|_| clients.connect(ip("2001:db8::1"), now))
            .collect();
        assert_eq!(many.len(), 128);
        assert!(clients.connect(ip("2001:db8::ffff"), now).is_none());
        assert!(clients.connect(ip("2001:db8:0:1::1"), now).is_some());
        drop(many);
        assert!(clients.connect(ip("2001:db8::1"), now).is_some());
    }

    #[test]
    fn addresses_without_end_are_forgotten() {
        let (clients, now) = (Clients::default(), Instant::now());
        let stays = clients.connect(ip("192.0.2.1"), now).unwrap();
        for n in 0..20_000_u32 {
            drop(clients.connect(IpAddr::from(n.to_be_bytes()), now));
        }
        assert!(clients.table().len() <= REMEMBERED);
        assert!(stays.take_turn(now));
        assert!(clients.table().contains_key(&ip("192.0.2.1")));
    }
}
