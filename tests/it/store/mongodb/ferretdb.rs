//! FerretDB: neither partial indexes nor an atomic find-and-modify.

use super::conformance::{self, Opened};
use super::server::Kind;

pub async fn open() -> Opened {
    super::open(Kind::FerretDb).await
}

mod conforms {
    super::conformance::conformance!(
        #[ignore = "needs FerretDB: tests/servers/install"]
        crate::store::mongodb::ferretdb::open
    );
}
