"""Contestant (a): the original's way, written for this comparison from its description.

A frozen ResNet50 left in training mode, batches of two, random crops and flips drawn anew in every
epoch, Adam on the head alone, a validation pass after each epoch, and nothing cached.
"""

import outcome

LEARNING_RATE = 1e-4
BATCH_SIZE = 2
# Photographs that end early are used as far as they decode, as everywhere in this comparison.
LOAD_TRUNCATED_IMAGES = True


def main():
    parser = outcome.parser(__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    stages = outcome.Stages()

    import torch
    from PIL import ImageFile
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision import datasets, models, transforms

    from dataset import CROP, DATA_DIR, Dataset, find_weights

    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    ImageFile.LOAD_TRUNCATED_IMAGES = LOAD_TRUNCATED_IMAGES
    dataset = Dataset()
    stages.end("import")

    model = models.resnet50()
    state_dict = torch.load(find_weights(), weights_only=True)
    model.load_state_dict({name: tensor for name, tensor in state_dict.items() if not name.startswith("fc.")}, strict=False)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc = nn.Linear(model.fc.in_features, len(dataset.class_names))

    augment = transforms.Compose(
        [transforms.RandomResizedCrop(CROP), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    )
    squash = transforms.Compose([transforms.Resize((CROP, CROP)), transforms.ToTensor()])
    train = DataLoader(datasets.ImageFolder(DATA_DIR / "train", augment), batch_size=BATCH_SIZE, shuffle=True)
    valid_images = datasets.ImageFolder(DATA_DIR / "valid", squash)
    valid = DataLoader(valid_images, batch_size=BATCH_SIZE)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.fc.parameters(), lr=LEARNING_RATE)
    stages.end("prepare")

    for epoch in range(arguments.epochs):
        model.train()
        for inputs, targets in train:
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()
        model.eval()
        correct = 0
        with torch.no_grad():
            for inputs, targets in valid:
                correct += (model(inputs).argmax(1) == targets).sum().item()
        stages.end(f"epoch {epoch + 1}")

    outcome.save_model(model.state_dict())
    stages.end("save")
    outcome.write_report(
        stages,
        dataset,
        f"batch {BATCH_SIZE}, augmentation, training mode, Adam, {arguments.epochs} epochs, PyTorch eager fp32",
        valid_top1=correct / len(valid_images),
        epochs=arguments.epochs,
        epoch_s=[seconds for name, seconds in stages.seconds.items() if name.startswith("epoch")],
    )


if __name__ == "__main__":
    main()
