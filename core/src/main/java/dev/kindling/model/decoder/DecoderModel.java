package dev.kindling.model.decoder;

import dev.kindling.data.TokenBatch;
import dev.kindling.model.BatchResult;
import dev.kindling.model.Block;
import dev.kindling.model.LanguageModel;
import dev.kindling.model.Stack;
import dev.kindling.model.StepCache;
import dev.kindling.nn.Embedding;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Norm;
import dev.kindling.nn.TokenLoss;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A decoder with a language-model head: embeddings, blocks, a last norm, logits of the next token.
 */
public final class DecoderModel<S, G> implements LanguageModel {
  private final Backend backend;
  private final Trainables trainables;
  private final DecoderParts<S, G> parts;
  private final Stack<S, G> stack;
  private final StepCache<Step<S, G>> steps;
  private @Nullable Step<S, G> latest;

  /**
   * @param recompute whether activations within blocks are computed again rather than kept
   */
  public DecoderModel(
      Backend backend, Trainables trainables, DecoderParts<S, G> parts, boolean recompute) {
    this.backend = backend;
    this.trainables = trainables;
    this.parts = parts;
    this.stack = new Stack<>(parts.blocks(), parts.embeddingsTrain(), recompute);
    this.steps = new StepCache<>(trainables.arena(), this::lay);
  }

  /** Everything a step of one (B, T) touches, laid out in the arena. */
  record Step<S, G>(
      Block.Pass pass,
      Tensor ids,
      Tensor labels,
      Tensor embedded,
      Embedding.Saved words,
      Embedding.@Nullable Saved places,
      Norm.Saved lastNorm,
      Stack.Step<S, G> blocks,
      TokenLoss.Scratch head,
      Tensor losses,
      Tensor dh) {}

  private Step<S, G> lay(Arena.Layout arena, TokenBatch.Shape batch, boolean training) {
    return lay(arena, parts.heads().over(batch.rows(), batch.tokens(), batch.tokens()), training);
  }

  /** Who shares a row makes no difference to what is laid out. */
  private Step<S, G> step(TokenBatch batch, boolean training) {
    return steps.of(new TokenBatch.Shape(batch.rows(), batch.tokens(), 0), training);
  }

  /** What is kept from forward to backward comes first; the stack's layout ends it. */
  Step<S, G> lay(Arena.Layout a, AttentionShape shape, boolean training) {
    int n = shape.batch() * shape.tokens();
    int d = parts.hidden();
    Tensor positions = a.take(DType.I32, n);
    Tensor starts = a.take(DType.I32, n);
    Tensor ends = a.take(DType.I32, n);
    Tensor ids = a.take(DType.I32, n);
    Tensor labels = a.take(DType.I32, n);
    Tensor embedded = a.active(n, d);
    Embedding.Saved words = parts.words().save(a, n);
    Embedding.Saved places = parts.places() == null ? null : parts.places().save(a, n);
    Norm.Saved lastNorm = parts.lastNorm().save(a, n);
    Stack.Step<S, G> blocks = stack.lay(a, shape, d, training);
    Linear.Scratch linear = Linear.Scratch.take(a, n, parts.scratchUsers());
    return new Step<>(
        new Block.Pass(shape, positions, starts, ends, linear, training, null),
        ids,
        labels,
        embedded,
        words,
        places,
        lastNorm,
        blocks,
        parts.loss().scratch(a, n),
        a.real(n),
        a.active(training ? n : 0, d));
  }

  @Override
  public void load(float[] vector) {
    trainables.load(vector);
  }

  @Override
  public BatchResult evaluate(TokenBatch batch) {
    Step<S, G> s = step(batch, false);
    forward(batch, s);
    Linear.Scratch linear = s.pass.linear();
    parts.loss().losses(s.lastNorm.y(), s.labels, s.losses, s.head, linear);
    return result(batch, s).await();
  }

  @Override
  public int ahead() {
    return backend.ahead();
  }

  @Override
  public Pending begin(TokenBatch batch, float[] gradient) {
    Step<S, G> s = step(batch, true);
    forward(batch, s);
    Tensor dh = stack.trains() ? s.dh : null;
    parts.loss().lossesAndGradient(s.lastNorm.y(), s.labels, s.losses, dh, s.head, s.pass.linear());
    if (dh != null) {
      backward(s);
    }
    Backend.Arriving gradients = trainables.fetchGradients(gradient);
    Pending result = result(batch, s);
    return () -> {
      gradients.await();
      return result.await();
    };
  }

  private void forward(TokenBatch batch, Step<S, G> s) {
    latest = s;
    backend.write(s.ids, batch.ids());
    backend.write(s.pass.positions(), batch.positions());
    backend.write(s.pass.starts(), batch.starts());
    backend.write(s.pass.ends(), batch.ends());
    backend.write(s.labels, batch.labels());
    backend.write(s.pass.linear().keys(), batch.keys());
    embed(s);
    stack.forward(s.pass, s.embedded, s.blocks);
    parts.lastNorm().forward(s.blocks.last(s.embedded), s.lastNorm);
  }

  /** From ids and positions to the first block's input. */
  void embed(Step<S, G> s) {
    parts.words().forward(s.ids, s.embedded, false, s.words);
    if (parts.places() != null && s.places != null) {
      parts.places().forward(s.pass.positions(), s.embedded, true, s.places);
    }
  }

  private void backward(Step<S, G> s) {
    parts
        .lastNorm()
        .backward(s.blocks.last(s.embedded), s.lastNorm.statistics(), s.dh, s.blocks.dy());
    Tensor dx = stack.backward(s.pass, s.embedded, s.blocks);
    if (dx == null) {
      return;
    }
    parts.words().backward(s.ids, s.words, dx);
    if (parts.places() != null && s.places != null) {
      parts.places().backward(s.pass.positions(), s.places, dx);
    }
  }

  private Pending result(TokenBatch batch, Step<S, G> s) {
    float[] losses = new float[batch.labels().length];
    Backend.Arriving arriving = backend.fetch(s.losses, losses);
    return () -> {
      arriving.await();
      double sum = 0;
      for (float one : losses) {
        sum += one;
      }
      return BatchResult.of(batch, sum, 0);
    };
  }

  @Override
  public Arena.Size stepBytes(TokenBatch.Shape batch, boolean training) {
    return steps.size(batch, training);
  }

  /** Logits of the latest batch [rows · tokens, vocabulary]: whole, so for small ones only. */
  @Override
  public float[] logits() {
    if (latest == null) {
      throw new IllegalStateException("no batch has been computed yet");
    }
    Tensor h = latest.lastNorm.y();
    int vocabulary = parts.loss().vocabulary();
    float[] logits = new float[Math.multiplyExact(h.rows(), vocabulary)];
    float[] one = new float[vocabulary];
    Tensor row = latest.head.logits().slice(0, 1, vocabulary);
    for (int t = 0; t < h.rows(); t++) {
      Tensor x = h.slice((long) t * h.columns(), 1, h.columns());
      parts.loss().logits(x, row, latest.head, latest.pass.linear());
      backend.read(row, one);
      System.arraycopy(one, 0, logits, t * vocabulary, vocabulary);
    }
    return logits;
  }

  @Override
  public Continuation continuation(int capacity) {
    return new DecoderContinuation<>(backend, this, parts, stack, capacity);
  }

  /** For tests: the trainables as the backend holds them. */
  public Trainables trainables() {
    return trainables;
  }

  @Override
  public void close() {
    steps.close();
    trainables.close();
  }
}
