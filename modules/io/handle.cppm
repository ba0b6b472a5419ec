// Owned descriptors.
module;
#include <cstdint>
#include <source_location>
#include <utility>
export module rt.io:handle;
import rt.task;
import :reactor;

export namespace rt {

/// What is known of a descriptor that is taken over.
enum class descriptor_kind : std::uint8_t {
    unknown,   ///< whether it blocks is asked
    socket,    ///< a socket that blocks, as socket(2) and accept4(2) make it by default
    listener,  ///< likewise, and connections are accepted from it
};

/// Owns a descriptor together with whoever else shares it (the halves of a stream). The last one
/// closes it: at once, or when the kernel has let go of the operations in flight, which end with
/// errc::closed.
class io_handle {
public:
    io_handle() noexcept = default;
    /// Takes the descriptor over.
    explicit io_handle(native_handle descriptor, descriptor_kind kind = descriptor_kind::unknown);
    inline io_handle(io_handle&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    inline io_handle& operator=(io_handle&& other) noexcept {
        if (this != &other) {
            close();
            object_ = std::exchange(other.object_, nullptr);
        }
        return *this;
    }
    inline ~io_handle() { close(); }

    /// Another owner of the same descriptor.
    [[nodiscard]] io_handle share() const noexcept;
    void close() noexcept;
    /// Ends what waits on the descriptor, for all owners, with errc::closed.
    void close_now() noexcept;

    [[nodiscard]] native_handle native() const noexcept;
    [[nodiscard]] inline explicit operator bool() const noexcept { return object_ != nullptr; }
    inline friend bool operator==(const io_handle& a, const io_handle& b) noexcept {
        return a.object_ == b.object_;
    }
    /// For operations.
    [[nodiscard]] inline detail::io_object* object() const noexcept { return object_; }

private:
    detail::io_object* object_ = nullptr;
};

}  // namespace rt
