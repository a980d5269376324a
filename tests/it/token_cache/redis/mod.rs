//! Redis: the suite, alone and behind Sentinels, and what only a cache of many replicas promises.

mod servers;
