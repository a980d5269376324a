//! mongo-java-server: an implementation of its own, atomic where MongoDB is.

use super::conformance::{self, Opened};
use super::server::Kind;

pub async fn open() -> Opened {
    super::open(Kind::MongoJava).await
}

mod conforms {
    super::conformance::conformance!(
        #[ignore = "needs mongo-java-server: tests/servers/install"]
        crate::store::mongodb::mongo_java::open
    );
}
