package dev.kindling.job.averaging;

import dev.kindling.dl4j.AdapterNetwork;
import java.util.List;
import org.apache.spark.broadcast.Broadcast;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.spark.api.WorkerConfiguration;
import org.deeplearning4j.spark.api.worker.NetBroadcastTuple;
import org.deeplearning4j.spark.impl.paramavg.ParameterAveragingTrainingResult;
import org.deeplearning4j.spark.impl.paramavg.ParameterAveragingTrainingWorker;
import org.nd4j.linalg.dataset.api.DataSet;

/** Deeplearning4j's worker, whose result says what its steps were and how many targets they had. */
final class ShareWorker extends ParameterAveragingTrainingWorker {
  private static final long serialVersionUID = 1;
  private final ShareHook hook;

  ShareWorker(
      Broadcast<NetBroadcastTuple> network, WorkerConfiguration configuration, ShareHook hook) {
    super(network, true, configuration, List.of(hook), null, null);
    this.hook = hook;
  }

  /** Its own frame, in which it travels instead of as an object. */
  static final class Result extends ParameterAveragingTrainingResult {
    private static final long serialVersionUID = 1;
    private final byte[] frame;

    Result(byte[] frame) {
      super(null, null, Double.NaN, null, null, null); // all of it is in the frame
      this.frame = frame;
    }

    byte[] frame() {
      return frame;
    }
  }

  @Override
  public ParameterAveragingTrainingResult processMinibatch(
      DataSet data, MultiLayerNetwork network, boolean last) {
    try {
      return super.processMinibatch(data, network, last);
    } finally {
      hook.release();
    }
  }

  @Override
  public ParameterAveragingTrainingResult getFinalResult(MultiLayerNetwork network) {
    byte[] frame = hook.frame(network);
    AdapterNetwork.free(network);
    return new Result(frame);
  }
}
