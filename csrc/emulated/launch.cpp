// Fibers for the threads of a block; see cuda_runtime.h beside this file.
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

#include "cuda_runtime.h"

namespace gencosmo::emulated {

dim3 block_index, block_size, grid_size, thread_index;

namespace {

constexpr unsigned kWarp = 32, kMostThreads = 1024;
constexpr size_t kStack = 128 * 1024;

[[noreturn]] void stop(const char* why) {
  std::fprintf(stderr, "emulated CUDA: %s (block %u, %u; thread %u)\n", why, block_index.x, block_index.y,
               thread_index.x);
  std::abort();
}

enum class Waits { nothing, block, warp, next_kernel };

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  Waits waits = Waits::next_kernel;
};
struct Ballot {
  unsigned bits = 0, voters = 0;
};

// One block at a time, on fibers that live as long as the process.
class Block {
 public:
  void run(const std::function<void()>& kernel, unsigned threads) {
    kernel_ = &kernel;
    while (fibers_.size() < threads) add();
    std::vector<unsigned> order(threads);
    std::iota(order.begin(), order.end(), 0u);
    for (unsigned t = 0; t < threads; ++t) fibers_[t]->waits = Waits::nothing;
    for (bool moved = true; moved;) {
      moved = false;
      std::shuffle(order.begin(), order.end(), draw_);
      for (const unsigned t : order) {
        if (fibers_[t]->waits != Waits::nothing) continue;
        resume(t);
        moved = true;
      }
      for (unsigned first = 0; first < threads; first += kWarp) {
        moved |= release(Waits::warp, first, std::min(first + kWarp, threads));
      }
      moved |= release(Waits::block, 0, threads);
    }
    for (unsigned t = 0; t < threads; ++t) {
      if (fibers_[t]->waits != Waits::next_kernel) stop("threads wait for each other at different barriers");
    }
  }
  void wait(Waits what) {
    Fiber& own = *fibers_[current_];
    own.waits = what;
    swapcontext(&own.context, &outside_);
  }
  unsigned ballot(bool vote) {
    Ballot& b = ballots_[current_ / kWarp];
    if (b.voters++ == 0) b.bits = 0;
    if (vote) b.bits |= 1u << current_ % kWarp;
    wait(Waits::warp);
    const unsigned bits = b.bits;
    b.voters = 0;
    wait(Waits::warp);  // nobody votes again before all have read
    return bits;
  }
  std::mt19937& draw() { return draw_; }

 private:
  static void body();
  void add() {
    auto fiber = std::make_unique<Fiber>();
    fiber->stack = std::make_unique<char[]>(kStack);
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack.get();
    fiber->context.uc_stack.ss_size = kStack;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, body, 0);
    fibers_.push_back(std::move(fiber));
  }
  void resume(unsigned t) {
    current_ = t;
    thread_index = dim3(t, 0, 0);
    swapcontext(&outside_, &fibers_[t]->context);
  }
  // Lets go on whoever of [first, last) is still running, once all of them wait for `what`.
  bool release(Waits what, unsigned first, unsigned last) {
    bool any = false;
    for (unsigned t = first; t < last; ++t) {
      if (fibers_[t]->waits == Waits::next_kernel) continue;
      if (fibers_[t]->waits != what) return false;
      any = true;
    }
    for (unsigned t = first; t < last; ++t) {
      if (fibers_[t]->waits == what) fibers_[t]->waits = Waits::nothing;
    }
    return any;
  }

  const std::function<void()>* kernel_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  Ballot ballots_[kMostThreads / kWarp];
  ucontext_t outside_;
  unsigned current_ = 0;
  std::mt19937 draw_{static_cast<unsigned>(std::atoi(std::getenv("GENCOSMO_EMULATED_SEED") ? std::getenv("GENCOSMO_EMULATED_SEED") : "0"))};
};

// Never destroyed: a fiber's stack must not go before what it still refers to at exit.
Block& the_block() {
  static Block& block = *new Block;
  return block;
}
void Block::body() {
  Block& block = the_block();
  for (;;) {
    (*block.kernel_)();
    block.wait(Waits::next_kernel);
  }
}

}  // namespace

Launch::Launch(dim3 grid, dim3 block, unsigned dynamic_bytes, cudaStream_t) : grid_(grid), block_(block) {
  if (dynamic_bytes != 0) stop("dynamic shared memory is not emulated");
  if (block.y != 1 || block.z != 1 || grid.z != 1) stop("blocks have one axis, grids two");
  if (block.x < 1 || block.x > kMostThreads) stop("a block has 1 to 1024 threads");
  if (grid.x < 1 || grid.y < 1 || grid.y > 65535) stop("a grid has at least one block, at most 65535 along y");
}

void Launch::run(const std::function<void()>& kernel) const {
  static std::mutex alone;
  const std::lock_guard<std::mutex> guard(alone);
  Block& block = the_block();
  std::vector<uint64_t> order(static_cast<uint64_t>(grid_.x) * grid_.y);
  std::iota(order.begin(), order.end(), uint64_t{0});
  std::shuffle(order.begin(), order.end(), block.draw());
  block_size = block_;
  grid_size = grid_;
  for (const uint64_t b : order) {
    block_index = dim3(static_cast<unsigned>(b % grid_.x), static_cast<unsigned>(b / grid_.x));
    block.run(kernel, block_.x);
  }
}

void wait_for_block() { the_block().wait(Waits::block); }
void wait_for_warp() { the_block().wait(Waits::warp); }
unsigned ballot(unsigned lanes, bool vote) {
  if (lanes != 0xffffffffu) stop("a ballot is of the whole warp");
  return the_block().ballot(vote);
}

}  // namespace gencosmo::emulated
