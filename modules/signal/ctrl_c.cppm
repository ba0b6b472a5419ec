// Ctrl-C as something to wait for.
//
// The handler writes to a pipe; whoever waits reads it. It is installed with the first ctrl_c
// object of the process and stays: from then on Ctrl-C (and SIGTERM, which asks the same of a
// server) no longer ends the program by itself.
module;
#include <coroutine>
#include <cstddef>
#include <source_location>
#include <span>
#include <system_error>
export module rt.signal:ctrl_c;
import rt.task;
import rt.io;

export namespace rt {

/// Waits for SIGINT or SIGTERM: the number of the signal that came. A signal that came between the
/// first use of this in the process and the wait counts, once; every waiter is told of it. A stop
/// withdraws it. As an arm of a select: rt::allow_loss(rt::ctrl_c()). Errors: pipe2(2),
/// sigaction(2).
io_task<int> ctrl_c();

}  // namespace rt
