// Tests that come out the same each time they are run, and that try another order of things for
// each seed. Not part of the umbrella: import rt.testing.
export module rt.testing;
export import :seeds;
export import :script;
export import :runtime;
