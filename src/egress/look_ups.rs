//! The system looks names up in threads of the runtime, 512 in all, and keeps one until it is done, long after its
//! caller gave up. So each kind of caller has places of its own: names that hang take no other's.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Places for bots', or for services' names.
pub(super) const MANY: usize = 192;
/// Places where there are few names, or nobody who waits long.
pub(super) const FEW: usize = 32;

/// The places of one kind of caller. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct LookUps(Arc<Semaphore>);

impl LookUps {
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places)))
    }

    /// Where the name leads, with port 0. Waits for a place.
    pub(super) async fn addresses(&self, name: String) -> io::Result<Vec<SocketAddr>> {
        let place = self.0.clone().acquire_owned().await.map_err(io::Error::other)?;
        let look_up = move || {
            let found = (&*name, 0).to_socket_addrs().map(Vec::from_iter);
            drop(place);
            found
        };
        spawn_blocking(look_up).await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_waited_for_and_given_back() {
        let look_ups = LookUps::new(1);
        let taken = look_ups.0.clone().acquire_owned().await.unwrap();
        let mut waiting = Box::pin(look_ups.addresses("127.0.0.1".to_owned()));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(taken);
        assert_eq!(waiting.await.unwrap(), [SocketAddr::from(([127, 0, 0, 1], 0))]);
        assert_eq!(look_ups.0.available_permits(), 1);
    }
}
