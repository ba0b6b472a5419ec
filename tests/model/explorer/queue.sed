s/^#include <atomic>$/#include <atomic>\n#include "model.hpp"/
s/std::atomic</::model::atomic</g
s/^module rt.sched:queue;/export module rt.sched_queue;/
s/^namespace rt::detail {/export namespace rt::detail {/
s/ring(256)/ring(2)/
