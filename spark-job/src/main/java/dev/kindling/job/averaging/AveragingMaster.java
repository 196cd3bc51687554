package dev.kindling.job.averaging;

import dev.kindling.job.ingest.Tasks;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.broadcast.Broadcast;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.spark.api.RDDTrainingApproach;
import org.deeplearning4j.spark.api.Repartition;
import org.deeplearning4j.spark.api.WorkerConfiguration;
import org.deeplearning4j.spark.api.worker.NetBroadcastTuple;
import org.deeplearning4j.spark.impl.graph.SparkComputationGraph;
import org.deeplearning4j.spark.impl.multilayer.SparkDl4jMultiLayer;
import org.deeplearning4j.spark.impl.paramavg.ParameterAveragingTrainingMaster;
import org.deeplearning4j.spark.impl.paramavg.ParameterAveragingTrainingResult;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.DataSet;

/**
 * Mutable: Deeplearning4j's master for one averaging. It differs from its parent in three things:
 * the data are one split already, laid out a partition for each worker; workers' results are kept
 * apart instead of summed in the order of their arrival, so that they can be weighted and the
 * result is the same each time; and what was broadcast is destroyed.
 */
final class AveragingMaster extends ParameterAveragingTrainingMaster {
  private final ShareHook hook;
  private List<byte[]> frames = List.of();
  private @Nullable Broadcast<NetBroadcastTuple> sent;

  /**
   * @param steps that each worker takes, at most
   */
  AveragingMaster(ShareHook hook, int workers, int steps) {
    super(
        new Builder(workers, 1)
            .batchSizePerWorker(1)
            .averagingFrequency(steps)
            .saveUpdater(true)
            .rddTrainingApproach(RDDTrainingApproach.Direct)
            .repartionData(Repartition.Never)
            .storageLevel(null));
    this.hook = hook;
  }

  /** What the workers brought, in the order of their shares. */
  List<byte[]> frames() {
    return frames;
  }

  @Override
  public ShareWorker getWorkerInstance(SparkDl4jMultiLayer spark) {
    MultiLayerNetwork network = spark.getNetwork();
    NetBroadcastTuple tuple =
        new NetBroadcastTuple(
            network.getLayerWiseConfigurations(),
            network.params(),
            network.getUpdater().getStateViewArray());
    Broadcast<NetBroadcastTuple> broadcast = spark.getSparkContext().broadcast(tuple);
    sent = broadcast;
    return new ShareWorker(
        broadcast, new WorkerConfiguration(false, 1, 1, averagingFrequency, 0, false), hook);
  }

  @Override
  protected void executeTrainingDirect(SparkDl4jMultiLayer network, JavaRDD<DataSet> data) {
    doIteration(network, data, 1, 1);
  }

  @Override
  protected void processResults(
      SparkDl4jMultiLayer network,
      SparkComputationGraph graph,
      JavaRDD<ParameterAveragingTrainingResult> results,
      int split,
      int splits) {
    frames =
        Tasks.runAll(
            network.getSparkContext(),
            results,
            worker -> ((ShareWorker.Result) worker.next()).frame());
    if (sent != null) {
      sent.destroy();
    }
  }
}
