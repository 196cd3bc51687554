package dev.kindling.model.bert;

import dev.kindling.data.TokenBatch;
import dev.kindling.model.BatchResult;
import dev.kindling.model.Block;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.Stack;
import dev.kindling.model.StepCache;
import dev.kindling.nn.LayerNorm;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Norm;
import dev.kindling.nn.SharedInput;
import dev.kindling.nn.Trainables;
import dev.kindling.nn.UsesScratch;
import dev.kindling.tensor.Activation;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
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
  private final Stack<BertBlock.Saved, BertBlock.Scratch> stack;
  private final BertSummary summary;
  private final List<Linear> linears;
  private final List<UsesScratch> scratchUsers;
  private final Linear dense;
  private final Linear out;
  private final StepCache<Step> steps;
  private @Nullable Step latest;

  BertModel(
      BertPlan plan,
      Backend backend,
      FrozenWeights weights,
      Trainables trainables,
      boolean recompute) {
    this.config = plan.config();
    this.classes = plan.classes();
    this.backend = backend;
    this.weights = weights;
    this.trainables = trainables;
    this.steps = new StepCache<>(trainables.arena(), this::lay);
    Map<String, Linear> byName = trainables.linears(plan.linears(), weights);
    linears = List.copyOf(byName.values());
    List<UsesScratch> users = new ArrayList<>(linears);
    embeddingNorm = norm(config.embedding("LayerNorm"));
    List<BertBlock> blocks = new ArrayList<>();
    for (int l = 0; l < config.layers(); l++) {
      SharedInput reads = SharedInput.of(backend, byName, plan.readers(l));
      users.add(reads);
      blocks.add(
          new BertBlock(
              backend,
              reads,
              byName.get(config.block(l, BertPlan.ATTENTION_OUT)),
              norm(config.block(l, BertPlan.ATTENTION_NORM)),
              new BertFeedForward(
                  backend,
                  config.intermediate(),
                  byName.get(config.block(l, BertPlan.INTERMEDIATE)),
                  byName.get(config.block(l, BertPlan.OUT)),
                  norm(config.block(l, BertPlan.OUT_NORM)))));
    }
    summary =
        new BertSummary(
            blocks.remove(blocks.size() - 1),
            byName.get(config.block(config.layers() - 1, BertPlan.QUERY)));
    dense = byName.get(config.kind().dense);
    out = byName.get(config.kind().out);
    scratchUsers = List.copyOf(users);
    stack = new Stack<>(blocks, false, recompute);
  }

  private LayerNorm norm(String name) {
    return new LayerNorm(
        backend,
        weights.tensor(name + ".weight"),
        weights.tensor(name + ".bias"),
        config.epsilon());
  }

  /** Everything a step of one shape touches, laid out in the arena. */
  private record Step(
      Block.Pass pass,
      Tensor ids,
      Tensor types,
      Tensor labels,
      BertSummary.Firsts firsts,
      Tensor sum,
      Norm.Saved embedded,
      BertSummary.Saved summary,
      Tensor inner,
      Tensor pooled,
      Linear.Saved dense,
      Linear.Saved out,
      Stack.Step<BertBlock.Saved, BertBlock.Scratch> blocks,
      BertSummary.Scratch summaryScratch,
      Tensor logits,
      Tensor normalised,
      Tensor losses,
      Tensor dlogits,
      Tensor dpooled) {}

  private Step lay(Arena.Layout a, TokenBatch.Shape batch, boolean training) {
    int n = Math.toIntExact(batch.cells());
    int m = batch.examples();
    int d = config.hidden();
    int heads = config.heads();
    AttentionShape shape =
        new AttentionShape(batch.rows(), batch.tokens(), heads, heads, d / heads, false);
    Tensor positions = a.take(DType.I32, n);
    Tensor starts = a.take(DType.I32, n);
    Tensor ends = a.take(DType.I32, n);
    Tensor ids = a.take(DType.I32, n);
    Tensor types = a.take(DType.I32, n);
    Tensor labels = a.take(DType.I32, m);
    BertSummary.Firsts firsts = BertSummary.Firsts.take(a, shape, m, linears);
    Tensor sum = a.active(n, d);
    Norm.Saved embedded = embeddingNorm.save(a, n);
    BertSummary.Saved saved = summary.save(a, firsts.shape());
    Tensor inner = a.active(m, d);
    Tensor pooled = a.active(m, d);
    Linear.Saved savedDense = dense.save(a, m);
    Linear.Saved savedOut = out.save(a, m);
    var blocks = stack.lay(a, shape, d, training); // ends what lasts until the backward
    Linear.Scratch linear = Linear.Scratch.take(a, n, scratchUsers);
    return new Step(
        new Block.Pass(shape, positions, starts, ends, linear, training, null),
        ids,
        types,
        labels,
        firsts,
        sum,
        embedded,
        saved,
        inner,
        pooled,
        savedDense,
        savedOut,
        blocks,
        summary.scratch(a, firsts.shape()),
        a.real(m, classes),
        a.real(m, classes),
        a.real(m),
        a.active(m, classes),
        a.active(m, d));
  }

  @Override
  public void load(float[] vector) {
    trainables.load(vector);
  }

  @Override
  public BatchResult evaluate(TokenBatch batch) {
    Step s = steps.of(batch.shape(), false);
    forward(batch, s);
    backend.crossEntropy(s.normalised, s.labels, s.losses, null);
    return result(batch, s).await();
  }

  @Override
  public int ahead() {
    return backend.ahead();
  }

  @Override
  public Pending begin(TokenBatch batch, float[] gradient) {
    Step s = steps.of(batch.shape(), true);
    forward(batch, s);
    backend.crossEntropy(s.normalised, s.labels, s.losses, s.dlogits);
    backward(s);
    Backend.Arriving gradients = trainables.fetchGradients(gradient);
    Pending result = result(batch, s);
    return () -> {
      gradients.await();
      return result.await();
    };
  }

  private void forward(TokenBatch batch, Step s) {
    latest = s;
    upload(batch, s);
    boolean training = s.pass.training();
    Tensor sum = s.sum;
    backend.embed(s.ids, table("word_embeddings"), sum, false);
    backend.embed(s.pass.positions(), table("position_embeddings"), sum, true);
    backend.embed(s.types, table("token_type_embeddings"), sum, true);
    embeddingNorm.forward(sum, s.embedded);
    Tensor x = s.embedded.y();
    stack.forward(s.pass, x, s.blocks);
    summary.forward(s.pass, s.firsts, s.blocks.last(x), s.summary, s.summaryScratch);
    Linear.Scratch few = s.firsts.linear();
    dense.forward(s.summary.y(), s.inner, s.dense, few, training);
    backend.activation(Activation.TANH, s.inner, s.pooled);
    out.forward(s.pooled, s.logits, s.out, few, training);
    backend.convert(s.logits, s.normalised); // the loss overwrites it
  }

  private FrozenMatrix table(String name) {
    return weights.matrix(config.embedding(name) + ".weight");
  }

  private void backward(Step s) {
    Linear.Scratch few = s.firsts.linear();
    boolean blocksLearn = stack.trains() || summary.trains();
    boolean denseMatters = blocksLearn || dense.trains();
    out.backward(s.pooled, s.out, s.dlogits, denseMatters ? s.dpooled : null, false, few);
    if (!denseMatters) {
      return;
    }
    backend.activationBackward(Activation.TANH, s.inner, s.pooled, s.dpooled, s.dpooled);
    Tensor dy = blocksLearn ? s.summaryScratch.dy() : null;
    dense.backward(s.summary.y(), s.dense, s.dpooled, dy, false, few);
    if (blocksLearn) {
      Tensor x = s.embedded.y();
      Tensor below = stack.trains() ? s.blocks.dy() : null;
      summary.backward(s.pass, s.firsts, s.blocks.last(x), s.summary, below, s.summaryScratch);
      stack.backward(s.pass, x, s.blocks);
    }
  }

  private void upload(TokenBatch batch, Step s) {
    int examples = batch.examples();
    int[] starts = new int[examples];
    int[] ends = new int[examples];
    long[] firstKeys = new long[examples];
    for (int e = 0; e < examples; e++) {
      int first = batch.firsts()[e];
      int row = first / batch.tokens() * batch.tokens();
      starts[e] = row + batch.starts()[first];
      ends[e] = row + batch.ends()[first];
      firstKeys[e] = batch.keys()[first];
    }
    backend.write(s.ids, batch.ids());
    backend.write(s.pass.positions(), batch.positions());
    backend.write(s.types, new int[batch.ids().length]);
    backend.write(s.pass.starts(), batch.starts());
    backend.write(s.pass.ends(), batch.ends());
    backend.write(s.pass.linear().keys(), batch.keys());
    backend.write(s.labels, batch.labels());
    backend.write(s.firsts.rows(), batch.firsts());
    backend.write(s.firsts.starts(), starts);
    backend.write(s.firsts.ends(), ends);
    backend.write(s.firsts.linear().keys(), firstKeys);
  }

  private Pending result(TokenBatch batch, Step s) {
    float[] losses = new float[batch.examples()];
    float[] logits = new float[Math.toIntExact(s.logits.elements())];
    Backend.Arriving ofLosses = backend.fetch(s.losses, losses);
    Backend.Arriving ofLogits = backend.fetch(s.logits, logits);
    return () -> {
      ofLosses.await();
      ofLogits.await();
      return scored(batch, losses, logits);
    };
  }

  private BatchResult scored(TokenBatch batch, float[] losses, float[] logits) {
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
    return BatchResult.of(batch, loss, correct);
  }

  @Override
  public Arena.Size stepBytes(TokenBatch.Shape batch, boolean training) {
    return steps.size(batch, training);
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
