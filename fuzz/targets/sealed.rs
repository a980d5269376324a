//! What a store holds where a sealed value should be, and settings that are lists of keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wxkf_gateway::domain::{Endpoint, Secret};
use wxkf_gateway::store::sealed::{MasterKeys, Place};

const PLACE: Place<'static> = Place { table: "puppet", row: "wk1", field: "token" };

fuzz_target!(|data: &str| {
    let key = Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let keys = MasterKeys::parse(&key).expect("a key");
    assert!(keys.open(&PLACE, data).is_err(), "nobody can seal without the key");
    let sealed = keys.seal(&PLACE, &Secret::new(data)).expect("short enough");
    assert_eq!(keys.open(&PLACE, &sealed).expect("its own"), Secret::new(data));
    let readable = MasterKeys::none().seal(&PLACE, &Secret::new(data)).expect("no key needed");
    assert_eq!(MasterKeys::none().open(&PLACE, &readable).expect("its own"), Secret::new(data));
    let _ = MasterKeys::parse(&Secret::new(data));
    let _ = Endpoint::parse(data);
});
