package dev.kindling.job.averaging;

import dev.kindling.data.TokenBatch;
import dev.kindling.dl4j.AdapterNetwork;
import dev.kindling.job.broadcast.ExecutorModels;
import dev.kindling.job.broadcast.MemoryUse;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.broadcast.WeightDelivery;
import dev.kindling.job.gpu.TaskDevice;
import dev.kindling.job.sync.Cluster;
import dev.kindling.job.sync.StepReport;
import dev.kindling.lora.Prefix;
import dev.kindling.model.Model;
import dev.kindling.train.LocalStep;
import dev.kindling.train.LocalSteps;
import dev.kindling.train.WorkerResult;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.SparkEnv;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.spark.api.TrainingHook;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/**
 * Mutable, one in each task: gives the network what it lacks before each step, which is the frozen
 * weights of its executor, the examples and the update.
 */
final class ShareHook implements TrainingHook {
  private static final long serialVersionUID = 1;
  private final ModelSpec spec;
  private final WeightDelivery delivery;
  private final LocalRule rule;
  private transient @Nullable ExecutorModels models;
  private transient @Nullable LocalSteps steps;
  private transient @Nullable Model model;
  private transient long start;
  private transient long nanos;

  ShareHook(ModelSpec spec, WeightDelivery delivery, LocalRule rule) {
    this.spec = spec;
    this.delivery = delivery;
    this.rule = rule;
  }

  @Override
  public void preUpdate(DataSet data, org.deeplearning4j.nn.api.Model network) {
    ExecutorModels here = models == null ? ExecutorModels.of(spec, delivery) : models;
    models = here;
    LocalSteps local =
        steps == null
            ? new LocalSteps(rule.update(here.layout()), here.layout().elements())
            : steps;
    steps = local;
    ShareStep share = (ShareStep) data;
    List<TokenBatch> batches = new ArrayList<>();
    share
        .batches()
        .forEach(b -> batches.add(TokenBatch.packed(b.rows(), here.plan().rules(), spec.seed())));
    Prefix prefix = local.prefix(share.step());
    Model borrowed = here.borrow(prefix);
    model = borrowed;
    start = System.nanoTime();
    AdapterNetwork.bind(
        (MultiLayerNetwork) network,
        (trainables, gradient) -> local.gradient(borrowed, prefix, batches, trainables, gradient),
        local::update,
        Math.toIntExact(share.step()));
  }

  @Override
  public void postUpdate(DataSet data, org.deeplearning4j.nn.api.Model network) {
    nanos += System.nanoTime() - start;
    release();
  }

  /** Gives the model back, after a failure too. */
  void release() {
    if (model != null && models != null) {
      models.giveBack(model);
      model = null;
    }
  }

  /** What the worker brings to the averaging, and what it says beside. */
  byte[] frame(MultiLayerNetwork network) {
    List<LocalStep> taken = steps == null ? List.of() : steps.taken();
    WorkerResult result =
        new WorkerResult(taken, AdapterNetwork.trainables(network), AdapterNetwork.state(network));
    return new StepReport(
            SparkEnv.get().executorId(),
            Cluster.host(),
            ExecutorModels.loads(),
            nanos,
            MemoryUse.now(),
            spec.compute().numerics(TaskDevice.of(spec.compute())),
            models == null ? "" : models.uuid())
        .encode(new StepReport.Payload(result.encodedBytes(), result::encode));
  }

  @Override
  public void preUpdate(MultiDataSet data, org.deeplearning4j.nn.api.Model network) {
    throw new UnsupportedOperationException("shares are data sets");
  }

  @Override
  public void postUpdate(MultiDataSet data, org.deeplearning4j.nn.api.Model network) {
    throw new UnsupportedOperationException("shares are data sets");
  }
}
