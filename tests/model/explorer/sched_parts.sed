s/^#include <atomic>$/#include <atomic>\n#include "model.hpp"/
s/std::atomic</::model::atomic</g
s/std::mutex\b/::model::mutex/g
s/^module rt.sched:\(.*\);/export module rt.sched_parts:\1;/
s/^namespace rt::detail {/export namespace rt::detail {/
s/ring(256)/ring(2)/
