package dev.kindling.model.bert;

import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.LinearModule;
import dev.kindling.model.BatchResult;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.StepCache;
import dev.kindling.nn.LayerNorm;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Norm;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Activation;
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
 * BERT or RoBERTa with a classification head: embeddings, blocks, then {@code
 * out(tanh(dense(y[first token])))}.
 */
final class BertModel implements Model {
  private final BertConfig config;
  private final int classes;
  private final Backend backend;
  private final FrozenWeights weights;
  private final Trainables trainables;
  private final LayerNorm embeddingNorm;
  private final List<BertBlock> blocks = new ArrayList<>();
  private final Linear dense;
  private final Linear out;

  /** The lowest block that learns; no gradient goes below it. */
  private final int lowest;

  private final int rank;
  private final boolean drops;
  private final StepCache<Step> steps;
  private @Nullable Step latest;

  BertModel(BertPlan plan, Backend backend, FrozenWeights weights, AdapterLayout layout) {
    this.config = plan.config();
    this.classes = plan.classes();
    this.backend = backend;
    this.weights = weights;
    this.trainables = new Trainables(backend, layout);
    this.steps = new StepCache<>(backend, this::lay);
    Map<String, Linear> linears = new HashMap<>();
    long number = 0;
    for (LinearModule module : plan.linears()) {
      linears.put(
          module.name(), trainables.linear(module, number++, weights::matrix, weights::tensor));
    }
    embeddingNorm = norm(config.embedding("LayerNorm"));
    for (int l = 0; l < config.layers(); l++) {
      blocks.add(
          new BertBlock(
              backend,
              linears.get(config.block(l, BertPlan.QUERY)),
              linears.get(config.block(l, BertPlan.KEY)),
              linears.get(config.block(l, BertPlan.VALUE)),
              linears.get(config.block(l, BertPlan.ATTENTION_OUT)),
              norm(config.block(l, BertPlan.ATTENTION_NORM)),
              linears.get(config.block(l, BertPlan.INTERMEDIATE)),
              linears.get(config.block(l, BertPlan.OUT)),
              norm(config.block(l, BertPlan.OUT_NORM))));
    }
    dense = linears.get(config.kind().dense);
    out = linears.get(config.kind().out);
    int first = 0;
    while (first < blocks.size() && !blocks.get(first).trains()) {
      first++;
    }
    lowest = first;
    rank = linears.values().stream().mapToInt(Linear::rank).max().orElse(0);
    drops = linears.values().stream().anyMatch(Linear::drops);
  }

  private LayerNorm norm(String name) {
    return new LayerNorm(
        backend,
        weights.tensor(name + ".weight"),
        weights.tensor(name + ".bias"),
        config.epsilon());
  }

  /** Everything a step of one (B, T) touches, laid out in the arena. */
  private record Step(
      AttentionShape shape,
      Tensor ids,
      Tensor positions,
      Tensor types,
      Tensor lengths,
      Tensor labels,
      Tensor firstRows,
      Tensor keys,
      Tensor sum,
      Norm.Saved embedded,
      List<BertBlock.Saved> blocks,
      Tensor first,
      Tensor inner,
      Tensor pooled,
      Linear.Saved dense,
      Linear.Saved out,
      Tensor logits,
      Tensor losses,
      Tensor dlogits,
      Tensor dpooled,
      Tensor dfirst,
      Tensor dy,
      Tensor dx,
      BertBlock.Scratch scratch,
      Linear.Scratch linear,
      Linear.Scratch headLinear) {}

  private Step lay(Arena.Layout a, int batch, int tokens) {
    int n = batch * tokens;
    int d = config.hidden();
    int f = config.intermediate();
    int heads = config.heads();
    AttentionShape shape = new AttentionShape(batch, tokens, heads, heads, d / heads, false);
    List<BertBlock.Saved> saved = new ArrayList<>();
    for (BertBlock block : blocks) {
      saved.add(block.save(a, shape, f));
    }
    Tensor keys = a.take(DType.I64, n);
    Tensor z = a.real(n, Math.max(rank, 1));
    Tensor dropped = drops ? a.real(n, Math.max(d, f)) : null;
    return new Step(
        shape,
        a.take(DType.I32, n),
        a.take(DType.I32, n),
        a.take(DType.I32, n),
        a.take(DType.I32, batch),
        a.take(DType.I32, batch),
        a.take(DType.I32, batch),
        keys,
        a.real(n, d),
        embeddingNorm.save(a, n),
        saved,
        a.real(batch, d),
        a.real(batch, d),
        a.real(batch, d),
        dense.save(a, batch),
        out.save(a, batch),
        a.real(batch, classes),
        a.real(batch),
        a.real(batch, classes),
        a.real(batch, d),
        a.real(batch, d),
        a.real(n, d),
        a.real(n, d),
        BertBlock.Scratch.take(a, shape, f, backend.attentionScratch(shape)),
        new Linear.Scratch(z, dropped, keys),
        new Linear.Scratch(z, dropped, a.take(DType.I64, batch)));
  }

  @Override
  public void load(float[] vector) {
    trainables.load(vector);
  }

  @Override
  public BatchResult evaluate(TokenBatch batch) {
    Step s = steps.of(batch.examples(), batch.tokens());
    forward(batch, s, false);
    backend.crossEntropy(s.logits, s.labels, s.losses, null);
    return result(batch, s);
  }

  @Override
  public BatchResult gradient(TokenBatch batch, float[] gradient) {
    Step s = steps.of(batch.examples(), batch.tokens());
    forward(batch, s, true);
    backend.crossEntropy(s.logits, s.labels, s.losses, s.dlogits);
    backward(s);
    trainables.readGradients(gradient);
    return result(batch, s);
  }

  private void forward(TokenBatch batch, Step s, boolean training) {
    latest = s;
    upload(batch, s);
    Tensor sum = s.sum;
    backend.embed(s.ids, weights.tensor(config.embedding("word_embeddings.weight")), sum, false);
    backend.embed(
        s.positions, weights.tensor(config.embedding("position_embeddings.weight")), sum, true);
    backend.embed(
        s.types, weights.tensor(config.embedding("token_type_embeddings.weight")), sum, true);
    embeddingNorm.forward(sum, s.embedded);
    Tensor x = s.embedded.y();
    for (int l = 0; l < blocks.size(); l++) {
      BertBlock.Saved saved = s.blocks.get(l);
      blocks.get(l).forward(s.shape, x, s.lengths, saved, s.scratch, s.linear, training);
      x = saved.y();
    }
    backend.gatherRows(x, s.firstRows, s.first);
    dense.forward(s.first, s.inner, s.dense, s.headLinear, training);
    backend.activation(Activation.TANH, s.inner, s.pooled);
    out.forward(s.pooled, s.logits, s.out, s.headLinear, training);
  }

  private void backward(Step s) {
    boolean blocksLearn = lowest < blocks.size();
    boolean denseMatters = blocksLearn || dense.trains();
    out.backward(s.pooled, s.out, s.dlogits, denseMatters ? s.dpooled : null, false, s.headLinear);
    if (!denseMatters) {
      return;
    }
    backend.activationBackward(Activation.TANH, s.inner, s.pooled, s.dpooled, s.dpooled);
    dense.backward(s.first, s.dense, s.dpooled, blocksLearn ? s.dfirst : null, false, s.headLinear);
    if (!blocksLearn) {
      return;
    }
    backend.gatherRowsBackward(s.dfirst, s.firstRows, s.dy);
    Tensor dy = s.dy;
    Tensor dx = s.dx;
    for (int l = blocks.size() - 1; l >= lowest; l--) {
      Tensor x = l == 0 ? s.embedded.y() : s.blocks.get(l - 1).y();
      blocks
          .get(l)
          .backward(s.shape, x, s.blocks.get(l), dy, l > lowest ? dx : null, s.scratch, s.linear);
      Tensor swap = dy;
      dy = dx;
      dx = swap;
    }
  }

  private void upload(TokenBatch batch, Step s) {
    int[] firstRows = new int[batch.examples()];
    long[] firstKeys = new long[batch.examples()];
    for (int b = 0; b < firstRows.length; b++) {
      firstRows[b] = b * batch.tokens();
      firstKeys[b] = batch.keys()[firstRows[b]];
    }
    backend.write(s.ids, batch.ids());
    backend.write(s.positions, batch.positions());
    backend.write(s.types, new int[batch.ids().length]);
    backend.write(s.lengths, batch.lengths());
    backend.write(s.labels, batch.labels());
    backend.write(s.firstRows, firstRows);
    backend.write(s.keys, batch.keys());
    backend.write(s.headLinear.keys(), firstKeys);
  }

  private BatchResult result(TokenBatch batch, Step s) {
    float[] losses = new float[batch.examples()];
    backend.read(s.losses, losses);
    float[] logits = logits();
    double loss = 0;
    long correct = 0;
    for (int b = 0; b < losses.length; b++) {
      loss += losses[b];
      int best = 0;
      for (int c = 1; c < classes; c++) {
        if (logits[b * classes + c] > logits[b * classes + best]) {
          best = c;
        }
      }
      correct += best == batch.labels()[b] ? 1 : 0;
    }
    return new BatchResult(loss, batch.examples(), batch.targets(), correct, batch.realTokens());
  }

  @Override
  public float[] logits() {
    if (latest == null) {
      throw new IllegalStateException("no batch has been computed yet");
    }
    float[] logits = new float[Math.toIntExact(latest.logits.elements())];
    backend.read(latest.logits, logits);
    return logits;
  }

  /** For tests: the trainables as the backend holds them. */
  Trainables trainables() {
    return trainables;
  }

  @Override
  public void close() {
    steps.close();
    trainables.close();
  }
}
