package dev.kindling.model.llama;

import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.LinearModule;
import dev.kindling.model.BatchResult;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.StepCache;
import dev.kindling.nn.Linear;
import dev.kindling.nn.RmsNorm;
import dev.kindling.nn.TokenLoss;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A decoder with a language-model head: embeddings, blocks, a last norm, logits of the next token.
 */
final class LlamaModel implements Model {
  /** Of one chunk's logits: 64 MiB is 500 tokens of a vocabulary of 32,000. */
  private static final long LOGIT_BYTES = 64L << 20;

  private final LlamaConfig config;
  private final Backend backend;
  private final FrozenWeights weights;
  private final Trainables trainables;
  private final List<LlamaBlock> blocks = new ArrayList<>();
  private final RmsNorm lastNorm;
  private final TokenLoss loss;

  /** The lowest block that learns; no gradient goes below it. */
  private final int lowest;

  private final int rank;
  private final boolean drops;
  private final StepCache<Step> steps;
  private @Nullable Step latest;

  LlamaModel(LlamaConfig config, Backend backend, FrozenWeights weights, AdapterLayout layout) {
    this.config = config;
    this.backend = backend;
    this.weights = weights;
    this.trainables = new Trainables(backend, layout);
    this.steps = new StepCache<>(backend, this::lay);
    Map<String, Linear> linears = new HashMap<>();
    long number = 0;
    for (LinearModule module : new LlamaPlan(config).linears()) {
      linears.put(
          module.name(), trainables.linear(module, number++, weights::matrix, weights::tensor));
    }
    for (int l = 0; l < config.layers(); l++) {
      blocks.add(
          new LlamaBlock(
              backend,
              config.frequencies(),
              norm(config.block(l, LlamaPlan.ATTENTION_NORM)),
              linears.get(config.block(l, LlamaPlan.QUERY)),
              linears.get(config.block(l, LlamaPlan.KEY)),
              linears.get(config.block(l, LlamaPlan.VALUE)),
              linears.get(config.block(l, LlamaPlan.ATTENTION_OUT)),
              norm(config.block(l, LlamaPlan.FEED_NORM)),
              linears.get(config.block(l, LlamaPlan.GATE)),
              linears.get(config.block(l, LlamaPlan.UP)),
              linears.get(config.block(l, LlamaPlan.DOWN))));
    }
    lastNorm = norm(LlamaPlan.LAST_NORM);
    loss =
        new TokenLoss(
            backend,
            config.tied() ? null : weights.matrix(LlamaPlan.HEAD),
            weights.tensor(LlamaPlan.TABLE),
            config.vocabulary(),
            LOGIT_BYTES);
    int first = 0;
    while (first < blocks.size() && !blocks.get(first).trains()) {
      first++;
    }
    lowest = first;
    rank = linears.values().stream().mapToInt(Linear::rank).max().orElse(0);
    drops = linears.values().stream().anyMatch(Linear::drops);
  }

  private RmsNorm norm(String name) {
    return new RmsNorm(backend, weights.tensor(name), config.epsilon());
  }

  /** Everything a step of one (B, T) touches, laid out in the arena. */
  private record Step(
      AttentionShape shape,
      Tensor ids,
      Tensor positions,
      Tensor lengths,
      Tensor labels,
      Tensor embedded,
      List<LlamaBlock.Saved> blocks,
      RmsNorm.Saved lastNorm,
      Tensor logits,
      Tensor losses,
      Tensor dh,
      Tensor dy,
      Tensor dx,
      LlamaBlock.Scratch scratch,
      Linear.Scratch linear) {
    /** Output of block {@code l}; of −1, the embeddings. */
    Tensor y(int l) {
      return l < 0 ? embedded : blocks.get(l).y();
    }
  }

  private Step lay(Arena.Layout a, int batch, int tokens) {
    int n = batch * tokens;
    int d = config.hidden();
    int f = config.intermediate();
    AttentionShape shape =
        new AttentionShape(
            batch, tokens, config.heads(), config.kvHeads(), config.headSize(), true);
    List<LlamaBlock.Saved> saved = new ArrayList<>();
    for (LlamaBlock block : blocks) {
      saved.add(block.save(a, shape, d, f));
    }
    int widest = Math.max(Math.max(d, f), shape.hidden());
    return new Step(
        shape,
        a.take(DType.I32, n),
        a.take(DType.I32, n),
        a.take(DType.I32, batch),
        a.take(DType.I32, n),
        a.real(n, d),
        saved,
        lastNorm.save(a, n),
        loss.save(a, n),
        a.real(n),
        a.real(n, d),
        a.real(n, d),
        a.real(n, d),
        LlamaBlock.Scratch.take(a, shape, d, f, backend.attentionScratch(shape)),
        new Linear.Scratch(
            a.real(n, Math.max(rank, 1)), drops ? a.real(n, widest) : null, a.take(DType.I64, n)));
  }

  @Override
  public void load(float[] vector) {
    trainables.load(vector);
  }

  @Override
  public BatchResult evaluate(TokenBatch batch) {
    Step s = steps.of(batch.examples(), batch.tokens());
    forward(batch, s, false);
    loss.lossAndGradient(s.lastNorm.y(), s.labels, s.losses, null, s.logits);
    return result(batch, s);
  }

  @Override
  public BatchResult gradient(TokenBatch batch, float[] gradient) {
    Step s = steps.of(batch.examples(), batch.tokens());
    forward(batch, s, true);
    loss.lossAndGradient(s.lastNorm.y(), s.labels, s.losses, s.dh, s.logits);
    backward(s);
    trainables.readGradients(gradient);
    return result(batch, s);
  }

  private void forward(TokenBatch batch, Step s, boolean training) {
    latest = s;
    backend.write(s.ids, batch.ids());
    backend.write(s.positions, batch.positions());
    backend.write(s.lengths, batch.lengths());
    backend.write(s.labels, batch.labels());
    backend.write(s.linear.keys(), batch.keys());
    backend.embed(s.ids, weights.tensor(LlamaPlan.TABLE), s.embedded, false);
    for (int l = 0; l < blocks.size(); l++) {
      blocks
          .get(l)
          .forward(
              s.shape,
              s.y(l - 1),
              s.positions,
              s.lengths,
              s.blocks.get(l),
              s.scratch,
              s.linear,
              training);
    }
    lastNorm.forward(s.y(blocks.size() - 1), s.lastNorm);
  }

  private void backward(Step s) {
    if (lowest == blocks.size()) {
      return;
    }
    Tensor dy = s.dy;
    Tensor dx = s.dx;
    lastNorm.backward(s.y(blocks.size() - 1), s.lastNorm, s.dh, dy);
    for (int l = blocks.size() - 1; l >= lowest; l--) {
      blocks
          .get(l)
          .backward(
              s.shape,
              s.y(l - 1),
              s.positions,
              s.blocks.get(l),
              dy,
              l > lowest ? dx : null,
              s.scratch,
              s.linear);
      Tensor swap = dy;
      dy = dx;
      dx = swap;
    }
  }

  private BatchResult result(TokenBatch batch, Step s) {
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
    Tensor whole = backend.allocate(backend.real(), h.rows(), config.vocabulary());
    loss.logits(h, whole);
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
