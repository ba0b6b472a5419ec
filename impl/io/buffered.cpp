module;
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>
module rt.io;

namespace rt::detail {

std::span<std::byte> read_buffer::room() {
    if (begin_ == end_) begin_ = end_ = 0;
    constexpr std::size_t least = 4096;
    if (bytes_.size() - end_ < least / 4) {
        if (begin_ > 0) {
            std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
            end_ -= std::exchange(begin_, 0);
        }
        if (bytes_.size() - end_ < least / 4) bytes_.resize(std::max(least, bytes_.size() * 2));
    }
    return std::span(bytes_).subspan(end_);
}

void read_buffer::filled(std::size_t count) noexcept { end_ += count; }

std::size_t read_buffer::take(std::span<std::byte> to) noexcept {
    auto n = std::min(to.size(), size());
    if (n != 0) std::memcpy(to.data(), bytes_.data() + begin_, n);
    begin_ += n;
    searched_ = 0;
    return n;
}

read_buffer::found read_buffer::next_record(char delimiter, std::string_view& text) noexcept {
    for (;;) {
        auto* data = reinterpret_cast<const char*>(bytes_.data()) + begin_;
        std::string_view all(size() ? data : "", size());
        auto at = all.find(delimiter, searched_);
        if (at != all.npos) {
            text = all.substr(0, at);
            begin_ += at + 1;
            searched_ = 0;
            if (std::exchange(skipping_, false)) continue;  // the end of the one that was refused
            return at > longest_ ? found::too_long : found::record;
        }
        searched_ = all.size();
        if (skipping_) {
            begin_ = end_;
            searched_ = 0;
            return at_end_ ? found::end : found::nothing;
        }
        if (all.size() > longest_) {
            skipping_ = true;
            begin_ = end_;
            searched_ = 0;
            return found::too_long;
        }
        if (!at_end_) return found::nothing;
        if (all.empty()) return found::end;
        text = all;
        begin_ = end_;
        searched_ = 0;
        return found::record;
    }
}

}  // namespace rt::detail
