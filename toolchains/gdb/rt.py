"""The tasks of rt in gdb, of a live process or of a core file:

    (gdb) source toolchains/gdb/rt.py
    (gdb) rt tasks          every task that is alive, and what it waits for
    (gdb) rt tasks 12       that one

It prints what runtime.dump() does; only an operation that is not rt's is shown by the name of its
class. In a core file nothing can be called, so it only reads memory, with the types of the debug
info: rt has to be built with -g, optimised or not.
"""
import functools
import re
import time

import gdb

# What what() says, by the class of the operation, "rt::" and "detail::" left out; "<>": a template.
# tests/tidy compares the words.
WORDS = {
    "accept_op": "an accept",
    "acquire_op": "rt::semaphore::acquire",
    "blocking_op<>": "rt::spawn_blocking",
    "broadcast_recv_op<>": "rt::broadcast_receiver::recv",
    "budget_op": "rt::consume_budget",
    "buffer_unordered_stage<>": "rt::buffer_unordered",
    "buffered_reader<>::record_op": "rt::buffered_reader",
    "buffered_stage<>": "rt::buffered",
    "chain_stage<>": "rt::chain",
    "changed_op<>": "rt::watch_receiver::changed",
    "chunks_stage<>": "rt::chunks",
    "closed_op<>": "a sender's closed()",
    "connect_op": "rt::tcp_stream::connect",
    "ctrl_c_op": "rt::ctrl_c",
    "delay_heap::next_op": "rt::delay_queue::next",
    "filter_stage<>": "rt::filter",
    "group_op<>": "rt::with_group",
    "inner_op<>": "rt::as_optional",
    "interval::tick_op": "rt::interval",
    "join_children<>": "rt::join",
    "join_list::next_op": "rt::join_set::next",
    "join_op<>": "a join_handle",
    "join_range_op<>": "rt::join_all",
    "lock_op": "rt::mutex::lock",
    "map_stage<>": "rt::map",
    "merge_stage<>": "rt::merge",
    "notified_op": "rt::notify::wait",
    "now_op": "rt::this_task::now",
    "oneshot_op<>": "rt::oneshot_receiver::recv",
    "range_stage<>": "rt::from_range",
    "receive_op": "a read of a socket",
    "recv_many_op<>": "rt::receiver::recv_many",
    "recv_op<>": "rt::receiver::recv",
    "run_ahead_stage<>": "rt::run_ahead",
    "select_any_op<>": "rt::select_any",
    "select_op<>": "rt::select",
    "send_all_op": "a write to a socket",
    "send_op": "a write to a socket",
    "send_op<>": "rt::sender::send",
    "shield_op<>": "rt::shield",
    "signal_op": "rt::signals",
    "sleep_op": "rt::sleep",
    "stop_when_op<>": "rt::stop_when",
    "stream_map_stage<>": "rt::stream_map",
    "take_stage<>": "rt::take",
    "throttle_stage<>": "rt::throttle",
    "timeout_stage<>": "rt::timeout_each",
    "vectored_op": "a vectored read or write of a socket",
    "yield_op": "rt::yield_now",
}
# Where the first argument of the template is true.
OTHERWISE = {
    "join_children<>": "rt::try_join",
    "join_range_op<>": "rt::try_join_all",
    "select_op<>": "rt::timeout",
}
# Bits of environment::state_: an operation can be looked at while it is armed, and neither done nor
# being cancelled.
ARMED, DONE, CANCELLING = 2, 4, 8


# --- Names and memory

@functools.cache
def plain(name):
    """rt::detail::recv_op<std::pair<int, long> > is recv_op<>."""
    name = re.sub(r"@[\w.]+", "", name)  # of a symbol: the module that it belongs to
    name = re.sub(r"\((lambda|anonymous)[^()]*\)", r"\1", name)
    while True:
        shorter = re.sub(r"<[^<>]+>", "<>", name)
        shorter = re.sub(r"<(<>|[^<>])+>", "<>", shorter)
        if shorter == name:
            return re.sub(r"\b(rt|detail)::", "", name).replace(" ", "")
        name = shorter


def bare(type_):
    return type_.strip_typedefs().unqualified()


def word(address, size=8):
    return int.from_bytes(bytes(gdb.selected_inferior().read_memory(address, size)), "little")


def base_offset(type_, wanted):
    """Where the base class of that plain name lies; None: it has none."""
    if plain(type_.name or "") == wanted:
        return 0
    for field in type_.fields():
        inner = base_offset(bare(field.type), wanted) if field.is_base_class else None
        if inner is not None:
            return field.bitpos // 8 + inner
    return None


def member(type_, name):
    """Offset and type of a member, its own or a base's; None: there is none."""
    for field in type_.fields():
        if field.name == name and hasattr(field, "bitpos"):
            return field.bitpos // 8, bare(field.type)
        inner = member(bare(field.type), name) if field.is_base_class else None
        if inner:
            return field.bitpos // 8 + inner[0], inner[1]
    return None


class thing:
    """An object in memory. Not a gdb.Value: that one looks for the dynamic type of all that a
    pointer leads to, by a name that it does not find, and warns."""

    def __init__(self, address, type_):
        self.address, self.type = address, bare(type_)

    def __getitem__(self, name):
        found = member(self.type, name)
        if found is None:
            raise gdb.error(f"the debug info has no {self.type.name}::{name}")
        return thing(self.address + found[0], found[1])

    def has(self, name):
        return member(self.type, name) is not None

    def name(self):
        return plain(self.type.name or "")

    def number(self):
        return word(self.address, self.type.sizeof)

    def follow(self):
        """What a pointer leads to; None: nowhere."""
        to = word(self.address)
        return thing(to, self.type.target()) if to else None

    # Of the standard library, for libstdc++ and libc++:
    def atomic(self):
        return word(self.address, self.type.template_argument(0).sizeof)

    def owned(self):
        """Of a std::unique_ptr; None: nothing."""
        to = word(self.address)
        return thing(to, self.type.template_argument(0)) if to else None

    def is_vector(self):
        return re.match(r"std::(\w+::)?vector<", self.type.name or "") is not None

    def elements(self):
        """Of a std::vector or a std::tuple."""
        if not self.is_vector():
            return [part for _, part in sorted(self.tuple_parts(), key=lambda found: found[0])]
        type_ = self.type.template_argument(0)
        begin, end = word(self.address), word(self.address + 8)
        return [thing(i, type_) for i in range(begin, end, type_.sizeof)]

    def tuple_parts(self):
        index = re.match(r"std::(?:\w+::)*(?:_Head_base|__tuple_leaf)<(\d+)", self.type.name or "")
        for field in self.type.fields():
            if index and field.name in ("_M_head_impl", "__value_"):
                yield int(index.group(1)), self[field.name]
            elif field.is_base_class or field.name == "__base_":
                yield from thing(self.address + field.bitpos // 8, field.type).tuple_parts()

    def text(self):
        """Of a std::string."""
        data, size = word(self.address), word(self.address + 8)
        if "__cxx11" not in self.type.name:  # libc++: a short one is inside, behind its size
            short = not data & 1
            size = data >> 1 & 0x7f if short else size
            data = self.address + 1 if short else word(self.address + 16)
        return bytes(gdb.selected_inferior().read_memory(data, size)).decode(errors="replace")

    def place(self):
        """Of a std::source_location: a pointer to {file, function, line, column}."""
        where = word(self.address)
        if not where:
            return None
        file = gdb.Value(word(where)).cast(gdb.lookup_type("char").pointer()).string()
        return f"{file}:{word(where + 16, 4)}"


# --- What a scope waits for

def functions_of(vtable):
    """Of what the first entries of a vtable point to: the name, and the class of `this`."""
    for slot in range(5):
        block, function = gdb.block_for_pc(word(vtable + 8 * slot)), None
        while block and not block.is_static and not block.is_global:
            if block.function:
                function = block  # the outermost: others are inlined into it
            block = block.superblock
        for symbol in function or ():
            if symbol.name == "this":
                yield function.function.name, bare(bare(symbol.type).target())


def vtable_symbol(vtable):
    said = gdb.execute(f"info symbol {vtable:#x}", to_string=True)
    found = re.match(r"vtable for (.*?)( \+ \d+)?( in section .*)?$", said.strip())
    return found.group(1) if found else ""


class kind:
    """What the vtable of an operation tells: the words, and its type.

    The symbol of a vtable names the class in the demangler's words, which are not those of the
    debug info where there are modules or lambdas. But the virtual functions have debug info, and
    there `this` has the type: of the class that has this describe().
    """

    def __init__(self, vtable):
        self.described = self.type = None
        final = None  # the most derived that has one of the functions
        for name, type_ in functions_of(vtable):
            if re.search(r"::describe(@|\(|$)", name):
                self.described = type_
            if final is None or base_offset(type_, plain(final.name)) is not None:
                final = type_
        if self.described is None:
            name = re.sub(r"^rt::detail::or_\w+_op(@[\w.]+)?<(.*)>$", r"\2", vtable_symbol(vtable))
            self.words = WORDS.get(plain(name), plain(name) or "an operation")
            self.words += " (built without -g: its place and parts are not known)"
            return
        self.type = self.described
        if plain(self.type.name) in ("leaf_op<>", "joining<>"):
            self.type = bare(self.described.template_argument(0))
        elif plain(self.type.name) == "scope_op<>":
            self.type = final
        key = plain(self.type.name)
        if key == "stage_op<>":
            key = plain(bare(self.type.template_argument(0)).name)
        self.words = WORDS.get(key, key)
        if key in OTHERWISE and int(self.type.template_argument(0)):
            self.words = OTHERWISE[key]
        if key in ("shield_op<>", "inner_op<>"):
            gives = bare(self.type.template_argument(1))
            self.words = "rt::with" if plain(gives.name or "") == "outcome<>" else self.words

    def of(self, operation):
        """The operation in its own type, from the address of its wait_op."""
        part = plain(self.described.name)
        offset = base_offset(self.described, "wait_op") + base_offset(self.type, part)
        return thing(operation - offset, self.type)


class reader:
    def __init__(self):
        self.kinds = {}

    def scope(self, env, depth):
        """Lines (depth, words, place) of what an environment waits for; empty: for nothing."""
        if env["state_"].atomic() & (ARMED | DONE | CANCELLING) != ARMED:
            return []
        operation = env["waiting_"].follow()
        chain = []
        owner = operation["frame_"].follow()["owner"].follow()
        while parent := owner["parent"].follow():
            chain.insert(0, (depth, "a task", owner["awaited_at"].place()))
            owner = parent["owner"].follow()
        return chain + self.operation(operation.address, depth)

    def operation(self, address, depth):
        vtable = word(address)
        what = self.kinds.get(vtable) or self.kinds.setdefault(vtable, kind(vtable))
        if what.type is None:
            return [(depth, what.words, None)]
        operation, where = what.of(address), None
        if operation.name() == "join_op<>":  # its where_ is for misuse
            where = operation["root_"].follow()["identity"]["spawned_at"].place()
        elif operation.has("where_"):
            where = operation["where_"].place()
        lines = [(depth, what.words, where)]
        if plain(what.described.name) in ("scope_op<>", "group_op<>"):
            lines += self.scope(operation["body_"]["env"], depth + 1)
        for parts in ("arms_", "children_"):
            for part in operation[parts].elements() if operation.has(parts) else ():
                lines += self.part(part, depth + 1)
        return lines

    def part(self, part, depth):
        """Of a join: a child. Of a select: an operation, or a child."""
        if part.has("op_"):
            operation = part["op_"]
            offset = base_offset(operation.type, "wait_op")
            return self.operation(operation.address + offset, depth)
        return self.scope((part["child_"] if part.has("child_") else part)["env"], depth)


# --- Runtimes and their tasks

def now_of(core):
    """Milliseconds, as of environment::since_, and whether they are of this moment."""
    clock = core["clock_"].follow().address
    name = plain(vtable_symbol(word(clock)))
    if name == "paused_clock":
        return thing(clock, gdb.lookup_type("rt::paused_clock"))["now_"].atomic() // 10**6, True
    connection = getattr(gdb.selected_inferior(), "connection", None)  # gdb 12
    if name.endswith("::steady") and connection is not None and connection.type == "native":
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 10**6, True
    last = 0  # that a worker told its timers
    for w in core["workers_"].elements():
        wheel = w.owned()["wheel_"]
        last = max(last, wheel["origin_"].number() + (wheel["now_tick_"].number() << 16))
    return last // 10**6, False


def tasks_of(core):
    for s in core["shards_"].elements():
        task = s.owned()["first"].follow()
        while task:
            yield task
            task = task["next_task"].follow()


def describe(task, running, now, exact, read):
    identity = task["identity"]
    line = f"task {identity['id'].number()}"
    if name := identity["given_name"].owned():
        line += f" '{name.text()}'"
    line += f", spawned at {identity['spawned_at'].place()}"
    if identity.address in running:
        return line + f", runs on worker {running.index(identity.address)}\n"
    lines = read.scope(task["env"], 0)
    if not lines:
        return line + ", is ready to run\n"
    since = task["env"]["since_"].atomic()
    waited = (now - since) % 2**32 if since else 0
    if waited >= 2**31:
        waited = 0  # it began after the last that is known
    line += f", has waited {waited} ms{'' if exact else ' or more'} for:\n"
    for depth, words, where in lines:
        line += " " * (4 * (depth + 1)) + words + (f", at {where}" if where else "") + "\n"
    return line


def first_runtime():
    """None: none is alive."""
    try:  # of impl/sched/core.cpp; by its symbol, since gdb takes no name of a module
        first = int(gdb.parse_and_eval("(long)&_ZN2rt6detailW2rtW5sched13first_runtimeE"))
    except gdb.error:
        raise gdb.GdbError("there is no rt in this program, or it is stripped; with a core file "
                           "gdb needs the program, too: gdb <program> <core>")
    try:
        core = gdb.lookup_type("rt::detail::runtime_core")
    except gdb.error:
        core = None
    if core is None or not core.fields():
        raise gdb.GdbError("rt was built without debug info: build it with -g, such as with "
                           "CMAKE_BUILD_TYPE=Debug or RelWithDebInfo")
    if gdb.selected_inferior().pid == 0:
        raise gdb.GdbError("there is no process and no core file")
    return thing(first, core.pointer()).follow()


class rt(gdb.Command):
    """What rt knows of the program: rt tasks [ID]."""

    def __init__(self):
        super().__init__("rt", gdb.COMMAND_DATA, prefix=True)


class rt_tasks(gdb.Command):
    """Every task that is alive, where it was spawned, and what it waits for: rt tasks [ID].

As runtime.dump() of the program, of all its runtimes. The clock goes on while the process stands
in the debugger. In a core file nobody knows what time it is, so what is known of a wait is that it
has lasted for so long or more."""

    def __init__(self):
        super().__init__("rt tasks", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        if argument and not argument.isdigit():
            raise gdb.GdbError("rt tasks [ID]: the ID is a number")
        language = gdb.parameter("language")  # of the frame that is selected: of libc, perhaps
        gdb.execute("set language c++", to_string=True)  # it may warn
        try:
            self.show_all(int(argument) if argument else None)
        finally:
            gdb.execute(f"set language {language}", to_string=True)

    def show_all(self, wanted):
        core = first_runtime()
        if not core:
            raise gdb.GdbError("no runtime is alive")
        found, read = False, reader()
        while core:
            found |= self.show(core, wanted, read)
            core = core["next_runtime_"].follow()
        if wanted is not None and not found:
            raise gdb.GdbError(f"no task {wanted} is alive")

    @staticmethod
    def show(core, wanted, read):
        """True: a task was shown."""
        slots = [w.owned()["running_"].follow() for w in core["workers_"].elements()]
        running = [slot.atomic() if slot else 0 for slot in slots]
        now, exact = now_of(core)
        tasks = [t for t in tasks_of(core) if wanted in (None, t["identity"]["id"].number())]
        if wanted is None:
            name = core["options_"]["name"].text()
            gdb.write(f"runtime '{name}': {len(tasks)} tasks\n")
        for task in tasks:
            try:
                gdb.write(describe(task, running, now, exact, read))
            except (gdb.error, AttributeError, TypeError) as e:  # memory or a type that is missing
                gdb.write(f"the task at {task.address:#x} cannot be read: {e}\n")
        return bool(tasks)


rt()
rt_tasks()
