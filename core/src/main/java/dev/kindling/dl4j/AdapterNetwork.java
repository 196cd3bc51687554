package dev.kindling.dl4j;

import java.util.stream.Stream;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.updater.MultiLayerUpdater;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.impl.LossL1;

/**
 * A Deeplearning4j network whose parameter vector is exactly the trainables, and its updater state
 * the optimiser's. Its one layer puts out the mean loss of a worker's share; the layer above, told
 * to bring that to 0 by its absolute value, sends the gradient 1 back.
 */
public final class AdapterNetwork {
  private AdapterNetwork() {}

  /**
   * A network that has its parameters, and its optimiser's state.
   *
   * @param trainables copied
   * @param state the optimiser's vectors behind each other, each of the trainables' length; copied
   */
  public static MultiLayerNetwork of(float[] trainables, float[] state) {
    MultiLayerConfiguration configuration =
        new NeuralNetConfiguration.Builder()
            .dataType(DataType.FLOAT)
            .miniBatch(false)
            .updater(new BoundUpdater(state.length / trainables.length))
            .trainingWorkspaceMode(WorkspaceMode.NONE)
            .inferenceWorkspaceMode(WorkspaceMode.NONE)
            .list()
            .layer(new AdapterLayer.Builder(trainables.length).build())
            .layer(new LossLayer.Builder(new LossL1()).activation(Activation.IDENTITY).build())
            .build();
    MultiLayerNetwork network = new MultiLayerNetwork(configuration);
    network.init(Nd4j.createFromArray(trainables), false);
    if (state.length > 0) {
      network.setUpdater(new MultiLayerUpdater(network, Nd4j.createFromArray(state)));
    }
    return network;
  }

  /** A step's place in the stream of data: what it is made of is bound. */
  public static DataSet placeholder() {
    return new DataSet(Nd4j.zeros(DataType.FLOAT, 1, 1), Nd4j.zeros(DataType.FLOAT, 1, 1));
  }

  /**
   * Says what the next step is.
   *
   * @param step from 0: Deeplearning4j's Spark workers begin to count at 0 at each averaging
   */
  public static void bind(MultiLayerNetwork network, ShareLoss loss, UpdateRule rule, int step) {
    network.getLayerWiseConfigurations().setIterationCount(step);
    ((TrainedAdapters) network.getLayer(0)).bind(loss);
    MultiLayerUpdater updater = (MultiLayerUpdater) network.getUpdater();
    BoundUpdater.Rule bound =
        (BoundUpdater.Rule) updater.getUpdaterBlocks().get(0).getGradientUpdater();
    bound.bind(network.params(), rule);
  }

  /** Its parameters. */
  public static float[] trainables(MultiLayerNetwork network) {
    return network.params().toFloatVector();
  }

  /**
   * Frees its arrays, which are native memory that no collector is in a hurry to free. The
   * network's own {@code close} is slow: tests of averaging took 82 s with it and take 23 with
   * this.
   */
  public static void free(MultiLayerNetwork network) {
    INDArray state = network.getUpdater().getStateViewArray();
    Stream.of(network.params(), network.getFlattenedGradients(), state)
        .filter(array -> array != null && array.closeable())
        .forEach(INDArray::close);
  }

  /** Its updater's state; empty of an optimiser without. */
  public static float[] state(MultiLayerNetwork network) {
    INDArray view = network.getUpdater().getStateViewArray();
    return view == null ? new float[0] : view.toFloatVector();
  }
}
