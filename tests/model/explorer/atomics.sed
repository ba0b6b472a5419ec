# std's atomics and locks become the explorer's.
s/^#include <atomic>$/#include <atomic>\n#include "model.hpp"/
s/^#include <mutex>$/#include <mutex>\n#include "model.hpp"/
s/^#include <shared_mutex>$/#include <shared_mutex>\n#include "model.hpp"/
s/^#include <thread>$/#include <thread>\n#include "model.hpp"/
/blocks\|identity_here\|identity_slot\|std::atomic<int> budget\|std::atomic<task_identity\*>/!s/std::atomic</::model::atomic</g
s/std::mutex\b/::model::mutex/g
s/std::shared_mutex\b/::model::shared_mutex/g
s/std::condition_variable\b/::model::condition_variable/g
s/std::this_thread::yield()/::model::yield()/g
# A lock is one step, but in the model of the lock itself.
s/^class spin_lock {/using spin_lock = ::model::mutex;\nclass real_spin_lock {/
s/void spin_lock::lock_slowly/void real_spin_lock::lock_slowly/
s/3 \* sizeof(void\*)/16 * sizeof(void*)/
s/++spins > 100/++spins > 0/
