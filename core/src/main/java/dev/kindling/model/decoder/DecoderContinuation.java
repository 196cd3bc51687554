package dev.kindling.model.decoder;

import dev.kindling.model.Block;
import dev.kindling.model.LanguageModel.Continuation;
import dev.kindling.model.Stack;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * One sequence with the keys and values of its tokens in every block, so that each new token costs
 * one row, not the whole sequence again.
 */
final class DecoderContinuation<S, G> implements Continuation {
  /** Tokens read at once: scores need PORTION rows of all keys, not as many as there are keys. */
  private static final int PORTION = 256;

  private final Backend backend;
  private final DecoderModel<S, G> model;
  private final DecoderParts<S, G> parts;
  private final Stack<S, G> stack;
  private final int capacity;
  private final Arena arena;
  private final Tensor cache;
  private final List<Tensor> keys = new ArrayList<>();
  private final List<Tensor> values = new ArrayList<>();
  private int tokens;

  DecoderContinuation(
      Backend backend,
      DecoderModel<S, G> model,
      DecoderParts<S, G> parts,
      Stack<S, G> stack,
      int capacity) {
    this.backend = backend;
    this.model = model;
    this.parts = parts;
    this.stack = stack;
    this.capacity = capacity;
    this.arena = new Arena(backend);
    int d = parts.heads().kvHidden();
    int blocks = parts.blocks().size();
    long one = (long) capacity * d;
    this.cache = backend.allocate(backend.active(), 2L * blocks, one);
    for (int l = 0; l < blocks; l++) {
      keys.add(cache.slice(2L * l * one, capacity, d));
      values.add(cache.slice((2L * l + 1) * one, capacity, d));
    }
    lay(1, capacity); // the longest of all single steps, so that none need grow the arena
  }

  private DecoderModel.Step<S, G> lay(int queries, int allKeys) {
    AttentionShape shape = parts.heads().over(1, queries, allKeys);
    return arena.lay(layout -> model.lay(layout, shape, false));
  }

  @Override
  public int tokens() {
    return tokens;
  }

  @Override
  public void append(int[] ids, float[] logits) {
    if (ids.length < 1 || tokens + ids.length > capacity) {
      throw new IllegalArgumentException(
          ids.length + " tokens after " + tokens + " exceed a capacity of " + capacity);
    }
    for (int from = 0; from < ids.length; from += PORTION) {
      part(Arrays.copyOfRange(ids, from, Math.min(from + PORTION, ids.length)), logits);
    }
  }

  private void part(int[] ids, float[] logits) {
    int n = ids.length;
    DecoderModel.Step<S, G> s = lay(n, tokens + n);
    Block.Pass pass = s.pass();
    backend.write(s.ids(), ids);
    backend.write(pass.positions(), IntStream.range(tokens, tokens + n).toArray());
    backend.write(pass.starts(), new int[n]);
    backend.write(pass.ends(), IntStream.rangeClosed(tokens + 1, tokens + n).toArray());
    model.embed(s);
    for (int l = 0; l < keys.size(); l++) {
      stack.forward(
          l,
          pass.after(new Block.Past(keys.get(l), values.get(l), tokens)),
          s.embedded(),
          s.blocks());
    }
    parts.lastNorm().forward(s.blocks().last(s.embedded()), s.lastNorm());
    Tensor h = s.lastNorm().y();
    Tensor last = h.slice((long) (n - 1) * h.columns(), 1, h.columns());
    Tensor row = s.head().logits().slice(0, 1, parts.loss().vocabulary());
    parts.loss().logits(last, row, s.head(), pass.linear());
    backend.read(row, logits);
    tokens += n;
  }

  @Override
  public void close() {
    arena.close();
    backend.free(cache);
  }
}
