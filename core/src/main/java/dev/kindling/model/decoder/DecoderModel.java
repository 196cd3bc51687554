package dev.kindling.model.decoder;

import dev.kindling.data.TokenBatch;
import dev.kindling.model.BatchResult;
import dev.kindling.model.Model;
import dev.kindling.model.StepCache;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Norm;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A decoder with a language-model head: embeddings, blocks, a last norm, logits of the next token.
 */
public final class DecoderModel<S extends DecoderBlock.Saved, G> implements Model {
  private final Backend backend;
  private final Trainables trainables;
  private final DecoderParts<S, G> parts;
  private final List<? extends DecoderBlock<S, G>> blocks;

  /** The lowest block that learns; no gradient goes below it. */
  private final int lowest;

  private final StepCache<Step<S, G>> steps;
  private @Nullable Step<S, G> latest;

  public DecoderModel(Backend backend, Trainables trainables, DecoderParts<S, G> parts) {
    this.backend = backend;
    this.trainables = trainables;
    this.parts = parts;
    this.blocks = parts.blocks();
    this.steps = new StepCache<>(backend, this::lay);
    int first = 0;
    while (first < blocks.size() && !blocks.get(first).trains()) {
      first++;
    }
    lowest = first;
  }

  /** Everything a step of one (B, T) touches, laid out in the arena. */
  private record Step<S extends DecoderBlock.Saved, G>(
      DecoderBlock.Pass training,
      DecoderBlock.Pass evaluating,
      Tensor ids,
      Tensor labels,
      Tensor embedded,
      List<S> blocks,
      Norm.Saved lastNorm,
      Tensor logits,
      Tensor losses,
      Tensor dh,
      Tensor dy,
      Tensor dx,
      G scratch) {
    /** Output of block {@code l}; of −1, the embeddings. */
    Tensor y(int l) {
      return l < 0 ? embedded : blocks.get(l).y();
    }
  }

  private Step<S, G> lay(Arena.Layout a, int batch, int tokens) {
    int n = batch * tokens;
    int d = parts.hidden();
    var shape = parts.shape(batch, tokens);
    List<S> saved = new ArrayList<>();
    for (DecoderBlock<S, G> block : blocks) {
      saved.add(block.save(a, shape));
    }
    Tensor positions = a.take(DType.I32, n);
    Tensor lengths = a.take(DType.I32, batch);
    Linear.Scratch linear =
        new Linear.Scratch(
            a.real(n, trainables.largestRank()),
            trainables.drops() ? a.real(n, parts.widest()) : null,
            a.take(DType.I64, n));
    return new Step<>(
        new DecoderBlock.Pass(shape, positions, lengths, linear, true),
        new DecoderBlock.Pass(shape, positions, lengths, linear, false),
        a.take(DType.I32, n),
        a.take(DType.I32, n),
        a.real(n, d),
        saved,
        parts.lastNorm().save(a, n),
        parts.loss().save(a, n),
        a.real(n),
        a.real(n, d),
        a.real(n, d),
        a.real(n, d),
        blocks.get(0).scratch(a, shape));
  }

  @Override
  public void load(float[] vector) {
    trainables.load(vector);
  }

  @Override
  public BatchResult evaluate(TokenBatch batch) {
    Step<S, G> s = steps.of(batch.examples(), batch.tokens());
    forward(batch, s, s.evaluating);
    parts.loss().lossAndGradient(s.lastNorm.y(), s.labels, s.losses, null, s.logits);
    return result(batch, s);
  }

  @Override
  public BatchResult gradient(TokenBatch batch, float[] gradient) {
    Step<S, G> s = steps.of(batch.examples(), batch.tokens());
    forward(batch, s, s.training);
    parts.loss().lossAndGradient(s.lastNorm.y(), s.labels, s.losses, s.dh, s.logits);
    backward(s);
    trainables.readGradients(gradient);
    return result(batch, s);
  }

  private void forward(TokenBatch batch, Step<S, G> s, DecoderBlock.Pass pass) {
    latest = s;
    backend.write(s.ids, batch.ids());
    backend.write(pass.positions(), batch.positions());
    backend.write(pass.lengths(), batch.lengths());
    backend.write(s.labels, batch.labels());
    backend.write(pass.linear().keys(), batch.keys());
    parts.embedding().forward(s.ids, pass.positions(), s.embedded);
    for (int l = 0; l < blocks.size(); l++) {
      blocks.get(l).forward(pass, s.y(l - 1), s.blocks.get(l), s.scratch);
    }
    parts.lastNorm().forward(s.y(blocks.size() - 1), s.lastNorm);
  }

  private void backward(Step<S, G> s) {
    if (lowest == blocks.size()) {
      return;
    }
    Tensor dy = s.dy;
    Tensor dx = s.dx;
    parts.lastNorm().backward(s.y(blocks.size() - 1), s.lastNorm, s.dh, dy);
    for (int l = blocks.size() - 1; l >= lowest; l--) {
      Tensor below = l > lowest ? dx : null;
      blocks.get(l).backward(s.training, s.y(l - 1), s.blocks.get(l), dy, below, s.scratch);
      Tensor swap = dy;
      dy = dx;
      dx = swap;
    }
  }

  private BatchResult result(TokenBatch batch, Step<S, G> s) {
    float[] losses = new float[batch.labels().length];
    backend.read(s.losses, losses);
    double sum = 0;
    for (float one : losses) {
      sum += one;
    }
    return new BatchResult(sum, batch.examples(), batch.targets(), 0, batch.realTokens());
  }

  /** Logits of the latest batch [examples · tokens, vocabulary]: whole, so for small ones only. */
  @Override
  public float[] logits() {
    if (latest == null) {
      throw new IllegalStateException("no batch has been computed yet");
    }
    Tensor h = latest.lastNorm.y();
    Tensor whole = backend.allocate(backend.real(), h.rows(), parts.loss().vocabulary());
    parts.loss().logits(h, whole);
    float[] logits = new float[Math.toIntExact(whole.elements())];
    backend.read(whole, logits);
    backend.free(whole);
    return logits;
  }

  @Override
  public void close() {
    steps.close();
    trainables.close();
  }
}
